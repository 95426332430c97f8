// Which pixels mattered: how much less sure the model is when a few of them are blanked. How sure it
// is are log-odds, as probabilities close to 1 hardly move.

const PATCH = 4;
const STRIDE = 2;
const SLICE = 12; // milliseconds of work between two frames

// Calls `done` with a value for each pixel, above zero where it spoke for the answer. Returns a
// function that stops it.
function whatMatters(network, pixels, done) {
  const usual = network.answer(pixels);
  const best = usual.indexOf(Math.max(...usual));
  const sure = network.oddsOf(best, pixels);
  const sums = new Float64Array(SIDE * SIDE);
  const counts = new Float64Array(SIDE * SIDE);
  const corners = [];
  for (let y = 0; y <= SIDE - PATCH; y += STRIDE) {
    for (let x = 0; x <= SIDE - PATCH; x += STRIDE) corners.push([y, x]);
  }
  let timer = 0;
  const work = () => {
    const start = performance.now();
    while (corners.length && performance.now() - start < SLICE) {
      const [top, left] = corners.pop();
      const blanked = Float32Array.from(pixels);
      let ink = 0;
      for (let i = 0; i < PATCH * PATCH; i++) {
        const at = (top + Math.floor(i / PATCH)) * SIDE + left + (i % PATCH);
        ink += blanked[at];
        blanked[at] = 0;
        counts[at] += 1;
      }
      if (!ink) continue;
      const fall = sure - network.oddsOf(best, blanked);
      for (let i = 0; i < PATCH * PATCH; i++) {
        sums[(top + Math.floor(i / PATCH)) * SIDE + left + (i % PATCH)] += fall;
      }
    }
    if (corners.length) timer = setTimeout(work, 0);
    else done(sums.map((sum, i) => (counts[i] ? sum / counts[i] : 0)));
  };
  timer = setTimeout(work, 60);
  return () => clearTimeout(timer);
}
