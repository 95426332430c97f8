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
  const most = mattering ? Math.max(...mattering.map(Math.abs), 0.02) : 1;
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

function showTest() {
  tested = (tested + 1) % data.labels.length;
  const image = pictures.slice(tested * SIDE * SIDE, (tested + 1) * SIDE * SIDE);
  source.clear();
  waiting = false;
  show(image, "", `A test image; its true class is ${data.classes[data.labels[tested]]}.`);
}

const nothing = drawing ? "Draw something" : "Give it a photo";

function onDrawn() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    if (!waiting) return;
    waiting = false;
    show(source.image(), nothing);
  });
}

const source = drawing
  ? new Paper(element("paper"), onDrawn)
  : new Photo(element("drop"), (given) => {
    show(source.image(), given ? "Nothing stands out from its ground" : nothing);
  }, (failure) => show(null, failure));

element("invitation").textContent = drawing
  ? `Draw one of ${data.classes.join(", ")} with the mouse or a finger, and see what a trained model makes of it.`
  : "Take a photo of a piece of clothing on a plain ground, and see what a trained model makes of it.";
element("undo").hidden = !drawing;
element("undo").addEventListener("click", () => source.undo());
element("clear").addEventListener("click", () => source.clear());
element("another").addEventListener("click", showTest);
element("mattering").addEventListener("change", showPixels);
element("footer").textContent = [
  ...networks.map((n) =>
    `${n.name}: right on ${n.right.toLocaleString("en")} of ${n.of.toLocaleString("en")} test images.`),
  "The model runs in this page; nothing that you draw or show leaves your device.",
].join(" ");
show(null, nothing);
