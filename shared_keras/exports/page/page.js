// The page: what is drawn or shown becomes pixels, pixels become bars.

const data = JSON.parse(document.getElementById("data").textContent);
const networks = data.models.map((model) => new Network(model));
const element = (id) => document.getElementById(id);
const drawing = data.photos === "handwriting";
const bars = new Bars(element("bars"), data.classes, networks);
const pictures = bytesOf(data.images);
let pixels = null;
let stop = () => {};
let mattering = null;
let waiting = false;
let tested = -1;

function showPixels() {
  const context = element("pixels").getContext("2d");
  const side = element("pixels").width / SIDE;
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  if (!pixels) return;
  const most = mattering ? Math.max(...mattering.map(Math.abs), 0.5) : 1;
  for (let i = 0; i < SIDE * SIDE; i++) {
    const place = [(i % SIDE) * side, Math.floor(i / SIDE) * side, side, side];
    context.fillStyle = `rgb(${pixels[i]} ${pixels[i]} ${pixels[i]})`;
    context.fillRect(...place);
    if (!mattering || !element("mattering").checked) continue;
    const share = mattering[i] / most;
    if (Math.abs(share) < 0.03) continue;
    context.fillStyle = `rgb(${share > 0 ? "255 138 31" : "63 167 255"} / ${0.75 * Math.abs(share)})`;
    context.fillRect(...place);
  }
}

function verdictOf(answers) {
  const named = answers.map((answer) => answer.indexOf(Math.max(...answer)));
  const [first] = named;
  if (named.some((best) => best !== first)) {
    const each = networks.map((n, i) => `${n.name} says ${data.classes[named[i]]}`);
    return `They disagree: ${each.join(", ")}`;
  }
  return `${data.classes[first]}, ${percent(answers[0][first])}`;
}

// Shows what the models say of an image, or that there is none.
function show(image, empty, truth = "") {
  stop();
  pixels = image;
  mattering = null;
  const answers = image && networks.map((network) => network.answer(image));
  bars.show(answers);
  element("verdict").textContent = answers ? verdictOf(answers) : empty;
  element("truth").textContent = truth;
  showPixels();
  if (!image) return;
  stop = whatMatters(networks[0], image, (found) => {
    mattering = found;
    showPixels();
  });
}

const nothing = drawing ? "Draw something" : "Give it a photo";
const none = drawing ? "No strokes were found on this photo" : "Nothing stands out from its ground";

function showDrawn() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    if (!waiting) return;
    waiting = false;
    show(paper.image(), nothing);
  });
}

// Clears the paper, or puts a photo in its place.
function begin(withPhoto) {
  if (!withPhoto) photo.clear();
  paper?.clear();
  waiting = false;
  element("paper").hidden = !drawing || withPhoto;
  element("drop").hidden = drawing && !withPhoto;
  element("undo").hidden = !drawing || withPhoto;
}

function lookAtPhoto() {
  begin(true);
  show(null, "Looking at the photo …");
}

function showNothing(why) {
  begin(false);
  show(null, why);
}

function showTest() {
  tested = (tested + 1) % data.labels.length;
  const image = pictures.slice(tested * SIDE * SIDE, (tested + 1) * SIDE * SIDE);
  begin(false);
  show(image, "", `A test image; its true class is ${data.classes[data.labels[tested]]}.`);
}

function oneOf(names) {
  if (names.length > 20) return `one of ${names.length} classes`;
  return `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}

const paper = drawing ? new Paper(element("paper"), showDrawn) : null;
const photo = new Photo(drawing ? prepareHandwriting : prepareObject, lookAtPhoto,
  () => show(photo.pixels, none), showNothing);

element("invitation").textContent = drawing
  ? `Draw ${oneOf(data.classes)} with the mouse or a finger, or show a photo of it, and see what a trained model makes of it.`
  : `Show a photo of one thing on a plain ground, and see what a trained model takes it for: ${oneOf(data.classes)}.`;
// With a finger nothing is dropped, and paste is hard to reach; but such a device has a camera.
const touched = navigator.maxTouchPoints > 0;
element("hint").hidden = !drawing || touched;
element("take").hidden = !touched;
element("empty").textContent =
  `${touched ? "Choose or take a photo" : "Drop or paste a photo here"}: one thing on a plain ground.`;
if (networks.length > 1) element("whom").textContent = ` to ${networks[0].name}`;
element("undo").addEventListener("click", () => paper.undo());
element("clear").addEventListener("click", () => showNothing(nothing));
element("another").addEventListener("click", showTest);
element("mattering").addEventListener("change", showPixels);
element("footer").textContent = [
  ...networks.map((n) =>
    `${n.name}: right on ${n.right.toLocaleString("en")} of ${n.of.toLocaleString("en")} test images.`),
  "The model runs in this page; nothing that you draw or show leaves your device.",
].join(" ");
showNothing(nothing);
