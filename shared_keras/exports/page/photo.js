// A photo that is dropped, pasted, chosen or taken.

class Photo {
  constructor(drop, changed, failed) {
    Object.assign(this, { changed, failed, shown: document.getElementById("photo"), pixels: null });
    this.hint = document.getElementById("hint");
    for (const id of ["choose", "take"]) document.getElementById(id).hidden = false;
    for (const id of ["file", "camera"]) {
      document.getElementById(id).addEventListener("change", (event) => {
        this.read(event.target.files[0]);
        event.target.value = "";
      });
    }
    drop.hidden = false;
    const over = (yes) => drop.classList.toggle("over", yes);
    document.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
    document.addEventListener("dragleave", () => over(false));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      over(false);
      this.read(event.dataTransfer.files[0]);
    });
    document.addEventListener("paste", (event) => this.read(event.clipboardData.files[0]));
  }

  async read(file) {
    if (!file) return;
    let bitmap;
    try {
      bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
    } catch {
      this.failed("This file is not an image that the browser can read.");
      return;
    }
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    this.pixels = prepareObject(photoOf(context.getImageData(0, 0, canvas.width, canvas.height)));
    this.show(URL.createObjectURL(file));
    this.changed(true);
  }

  show(url) {
    if (this.shown.src) URL.revokeObjectURL(this.shown.src);
    if (url) this.shown.src = url;
    else this.shown.removeAttribute("src");
    this.shown.hidden = !url;
    this.hint.hidden = Boolean(url);
  }

  clear() {
    this.pixels = null;
    this.show(null);
    this.changed(false);
  }

  image() {
    return this.pixels;
  }
}
