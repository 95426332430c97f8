// A photo that is dropped, pasted, chosen or taken.

class Photo {
  constructor(prepare, begun, done, failed) {
    Object.assign(this, { prepare, begun, done, failed, pixels: null, turn: 0 });
    this.shown = document.getElementById("photo");
    for (const id of ["file", "camera"]) {
      document.getElementById(id).addEventListener("change", (event) => {
        this.read(event.target.files[0]);
        event.target.value = "";
      });
    }
    const over = (yes) => document.body.classList.toggle("over", yes);
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
    this.clear();
    const turn = this.turn;
    this.show(URL.createObjectURL(file));
    this.begun();
    await new Promise((painted) => setTimeout(painted, 30)); // a large photo takes seconds
    if (turn !== this.turn) return;
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    const photo = photoOf(context.getImageData(0, 0, canvas.width, canvas.height));
    this.pixels = asItIs(photo) ?? this.prepare(photo);
    this.done();
  }

  show(url) {
    if (this.shown.src) URL.revokeObjectURL(this.shown.src);
    if (url) this.shown.src = url;
    else this.shown.removeAttribute("src");
    this.shown.hidden = !url;
    document.getElementById("empty").hidden = Boolean(url);
  }

  clear() {
    this.turn += 1;
    this.pixels = null;
    this.show(null);
  }
}
