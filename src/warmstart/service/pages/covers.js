// A cover for an item without a picture: drawn from its title, the same one every time.
// Colours come from its first tag, so that what belongs together looks related.

const SVG = "http://www.w3.org/2000/svg";
const W = 200;
const H = 300;

// ground, two middle tones, light: each row reads as one print
const PALETTES = [
  ["#1f2a44", "#3d5a80", "#e07a5f", "#f4e9d8"],
  ["#3a1c2b", "#8c2f39", "#f2a65a", "#f9ebd0"],
  ["#12343b", "#2d6a6a", "#e1b382", "#f3ead7"],
  ["#2b2d42", "#6d597a", "#eaac8b", "#f5ebe0"],
  ["#22333b", "#5e503f", "#c6ac8f", "#f2ece3"],
  ["#0f3d3e", "#4f8a6b", "#f0c95b", "#f7f2dd"],
  ["#40234d", "#a04668", "#f4b393", "#faeee0"],
  ["#14213d", "#355f8d", "#fca311", "#eef1f5"],
  ["#3b2a20", "#a4532f", "#e9b44c", "#f8efd9"],
  ["#1d3b2a", "#6a8d55", "#e8a87c", "#f4efdf"],
  ["#23203f", "#4b5aa7", "#9ad1d4", "#f1f0ea"],
  ["#4a1d1f", "#b5483a", "#8fb8a8", "#f6ecdc"],
];

export function hash(text) {
  let h = 2166136261;
  for (const char of text) {
    h = Math.imul(h ^ char.codePointAt(0), 16777619);
  }
  h = Math.imul(h ^ (h >>> 15), 2246822507);
  h = Math.imul(h ^ (h >>> 13), 3266489909);
  return (h ^ (h >>> 16)) >>> 0;
}

function dice(seed) {
  let state = seed || 1;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shape(name, values) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) {
    node.setAttribute(key, value);
  }
  return node;
}

const between = (roll, low, high) => low + roll() * (high - low);

function sun(roll, [, mid, warm, light]) {
  const x = between(roll, 60, 140);
  const y = between(roll, 95, 150);
  const r = between(roll, 42, 62);
  const horizon = y + between(roll, 20, 60);
  const shapes = [shape("circle", { cx: x, cy: y, r, fill: warm })];
  for (let i = 0; i < 4; i += 1) {
    const top = horizon + i * 34;
    const swell = between(roll, 10, 26);
    const d = `M0 ${top} Q50 ${top - swell} 100 ${top} T200 ${top} V300 H0 Z`;
    shapes.push(shape("path", { d, fill: i === 1 ? light : mid, opacity: i === 1 ? 0.9 : 0.55 }));
  }
  return shapes;
}

function rings(roll, [, mid, warm, light]) {
  const x = between(roll, 30, 170);
  const y = between(roll, 70, 230);
  const fills = [mid, light, mid, warm];
  const step = between(roll, 26, 34);
  const shapes = fills.map((fill, i) => shape("circle", { cx: x, cy: y, r: step * (4.2 - i), fill }));
  shapes.push(shape("circle", { cx: x, cy: y, r: step * 0.42, fill: light }));
  return shapes;
}

function peaks(roll, [, mid, warm, light]) {
  const shapes = [
    shape("circle", { cx: between(roll, 40, 160), cy: between(roll, 60, 100), r: 24, fill: light }),
  ];
  const fills = [mid, warm, mid];
  fills.forEach((fill, i) => {
    const x = between(roll, 10, 190);
    const top = 110 + i * 45 + between(roll, -15, 15);
    const d = `M${x - 150} 300 L${x} ${top} L${x + 150} 300 Z`;
    shapes.push(shape("path", { d, fill, opacity: i === 2 ? 1 : 0.85 }));
  });
  return shapes;
}

function tiles(roll, [, mid, warm, light]) {
  const shapes = [];
  const size = 100;
  for (let row = 0; row < 3; row += 1) {
    for (let column = 0; column < 2; column += 1) {
      const x = column * size;
      const y = row * size;
      const fill = [mid, warm, light][Math.floor(roll() * 3)];
      const corner = Math.floor(roll() * 4);
      const paths = [
        `M${x} ${y} h${size} a${size} ${size} 0 0 1 -${size} ${size} Z`,
        `M${x + size} ${y} v${size} a${size} ${size} 0 0 1 -${size} -${size} Z`,
        `M${x} ${y + size} v-${size} a${size} ${size} 0 0 1 ${size} ${size} Z`,
        `M${x + size} ${y + size} h-${size} a${size} ${size} 0 0 1 ${size} -${size} Z`,
      ];
      shapes.push(shape("path", { d: paths[corner], fill, opacity: roll() < 0.25 ? 0.5 : 1 }));
    }
  }
  return shapes;
}

function bands(roll, [, mid, warm, light]) {
  const shapes = [];
  const lean = roll() < 0.5 ? -35 : 35;
  const fills = [mid, warm, light, mid];
  let y = between(roll, 30, 90);
  for (const fill of fills) {
    const tall = between(roll, 18, 46);
    const d = `M-10 ${y + lean} L210 ${y - lean} v${tall} L-10 ${y + lean + tall} Z`;
    shapes.push(shape("path", { d, fill }));
    y += tall + between(roll, 8, 22);
  }
  return shapes;
}

function arches(roll, [, mid, warm, light]) {
  const shapes = [];
  const fills = [mid, warm, light, mid];
  const x = 100 + between(roll, -30, 30);
  fills.forEach((fill, i) => {
    const r = 92 - i * 22;
    const top = 120 + i * 22 + between(roll, -4, 4);
    const d = `M${x - r} 300 V${top + r * 0.5} a${r} ${r} 0 0 1 ${2 * r} 0 V300 Z`;
    shapes.push(shape("path", { d, fill }));
  });
  return shapes;
}

const MOTIFS = [sun, rings, peaks, tiles, bands, arches];

/** Return an <svg> that says nothing to screen readers: the title stands beside it. */
export function cover(title, tags = []) {
  const seed = hash(title);
  const roll = dice(seed);
  const palette = PALETTES[(hash(tags[0] ?? title) + ((seed >>> 4) % 3) * 5) % PALETTES.length];
  const svg = shape("svg", {
    viewBox: `0 0 ${W} ${H}`,
    class: "cover",
    "aria-hidden": "true",
    focusable: "false",
    preserveAspectRatio: "xMidYMid slice",
  });
  svg.append(shape("rect", { width: W, height: H, fill: palette[0] }));
  svg.append(...MOTIFS[seed % MOTIFS.length](roll, palette));
  return svg;
}
