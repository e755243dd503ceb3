// Shows an image whose hidden pixels are tinted, and lets one paint which are: in the scope of gr.HTML's js_on_load.
const accent = "rgba(214, 90, 40, 0.82)";
let hidden = new Set();
let hides = true; // does a stroke hide pixels, or show them again?
let stroke = false;
const picture = new Image();
const canvas = () => element.querySelector("canvas");

function draw() {
  const value = props.value, board = canvas();
  if (!value || !board || !picture.complete || !picture.naturalWidth) return;
  const scale = Math.max(1, Math.floor(384 / Math.max(value.width, value.height)));
  board.width = value.width * scale;
  board.height = value.height * scale;
  const context = board.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, 0, 0, board.width, board.height);
  context.fillStyle = accent;
  for (const pixel of hidden) {
    context.fillRect((pixel % value.width) * scale, Math.floor(pixel / value.width) * scale, scale, scale);
  }
}

function load() {
  const value = props.value;
  hidden = new Set(value ? value.hidden : []);
  if (!value) return;
  if (picture.src === value.image) draw();
  else picture.src = value.image;
}

function at(event) {
  const value = props.value, box = canvas().getBoundingClientRect();
  const place = (x, size, length) => Math.min(length - 1, Math.max(0, Math.floor((x / size) * length)));
  return [place(event.clientX - box.left, box.width, value.width), place(event.clientY - box.top, box.height, value.height)];
}

function brush(event) {
  const value = props.value, [x, y] = at(event);
  const radius = Math.floor(Math.min(value.width, value.height) / 20);
  for (let row = Math.max(0, y - radius); row <= Math.min(value.height - 1, y + radius); row++) {
    for (let column = Math.max(0, x - radius); column <= Math.min(value.width - 1, x + radius); column++) {
      if (hides) hidden.add(row * value.width + column);
      else hidden.delete(row * value.width + column);
    }
  }
  draw();
}

element.addEventListener("pointerdown", event => {
  if (event.target !== canvas() || !props.value) return;
  event.preventDefault();
  const [x, y] = at(event);
  hides = !hidden.has(y * props.value.width + x);
  stroke = true;
  canvas().setPointerCapture(event.pointerId);
  brush(event);
});
element.addEventListener("pointermove", event => {
  if (stroke) brush(event);
});
for (const name of ["pointerup", "pointercancel"]) {
  element.addEventListener(name, () => {
    if (!stroke) return;
    stroke = false;
    props.value = { ...props.value, hidden: [...hidden].sort((a, b) => a - b) };
    trigger("input");
  });
}
picture.addEventListener("load", draw);
watch("value", load);
load();
