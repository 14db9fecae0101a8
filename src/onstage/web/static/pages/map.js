// The map: dagre finds the places once for each topology; they are kept, so that nothing jumps when counts change.
import { Graph, layout } from "../vendor/dagre/dagre.esm.js";

const SVG = "http://www.w3.org/2000/svg";
const KEPT = "onstage.map";
const HIGH = 44;
const MARGIN = 16;
const LARGE = 150; // with more services than this a good order is found in less time than the best one
const SQUEEZED = 1.6; // a map that is wider than this is scrolled, not shrunk

export function drawMaps() {
  const place = document.querySelector("[data-map]");
  if (!place) return;
  const redraw = () => draw(place, JSON.parse(document.getElementById("map-data").dataset.graph));
  redraw();
  document.addEventListener("onstage:refreshed", redraw);
}

function draw(place, graph) {
  const spots = placed(graph);
  const size = {
    width: spots.width, height: spots.height, viewBox: `0 0 ${spots.width} ${spots.height}`,
    role: "group", "aria-label": "Services and what goes between them",
  };
  const drawn = element("svg", { ...size, class: spots.width < place.clientWidth * SQUEEZED ? "fits" : "" });
  const defs = element("defs");
  const arrow = element("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" });
  arrow.append(element("path", { d: "M0 0L8 4L0 8z", class: "arrow" }));
  defs.append(arrow);
  drawn.append(defs, ...graph.edges.map((edge) => edgeShape(edge, spots)), ...graph.nodes.map((node) => nodeShape(graph, node, spots)));
  const { scrollLeft, scrollTop } = place;
  place.replaceChildren(drawn);
  place.scrollTo(scrollLeft, scrollTop);
  place.dataset.drawn = graph.topology;
}

const nameOf = (edge) => `${edge.source}→${edge.target}`;
const wide = (node) => Math.max(96, node.name.length * 7.2 + 28);

function placed(graph) {
  const names = `${graph.topology}|${graph.around ?? ""}|${graph.nodes.map((node) => node.name)}|${graph.edges.map(nameOf)}`;
  const kept = JSON.parse(localStorage.getItem(KEPT) ?? "null");
  if (kept?.names === names) return kept.spots;
  const found = new Graph();
  const large = graph.nodes.length > LARGE;
  found.setGraph({ rankdir: "LR", ranker: large ? "tight-tree" : "network-simplex", ranksep: 90, nodesep: 26, edgesep: 16, marginx: MARGIN, marginy: MARGIN });
  found.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) found.setNode(node.name, { width: wide(node), height: HIGH });
  for (const edge of graph.edges) if (edge.source !== edge.target) found.setEdge(edge.source, edge.target, { width: 40, height: 14, labelpos: "c" });
  layout(found, { disableOptimalOrderHeuristic: large });
  const spots = { nodes: {}, edges: {}, width: Math.ceil(found.graph().width) || 200, height: Math.ceil(found.graph().height) || 120 };
  for (const name of found.nodes()) spots.nodes[name] = [found.node(name).x, found.node(name).y];
  for (const edge of found.edges()) spots.edges[`${edge.v}→${edge.w}`] = found.edge(edge).points.map(({ x, y }) => [Math.round(x), Math.round(y)]);
  try {
    localStorage.setItem(KEPT, JSON.stringify({ names, spots }));
  } catch {
    // Without room to keep them they are found again the next time.
  }
  return spots;
}

function edgeShape(edge, spots) {
  const shape = element("g", { class: `edge ${edge.mark === "never seen" ? "unseen" : ""} ${edge.mark === "not declared" || edge.failed ? "undeclared" : ""}`, "data-source": edge.source, "data-target": edge.target });
  const points = spots.edges[nameOf(edge)] ?? loop(spots.nodes[edge.source]);
  const middle = points[Math.floor(points.length / 2)];
  const words = edge.rate_s >= 0.1 ? `${edge.rate_s.toFixed(1)}/s` : edge.count ? edge.count.toLocaleString("en") : "";
  shape.append(element("path", { d: curve(points), "marker-end": "url(#arrow)" }), text(words, middle[0], middle[1] + 4));
  shape.append(title(`${edge.source} → ${edge.target}: ${edge.events.join(", ")}${edge.mark ? ` (${edge.mark})` : ""}`));
  return shape;
}

function nodeShape(graph, node, spots) {
  const [x, y] = spots.nodes[node.name];
  const shape = element("g", { class: `node ${node.failed ? "bad" : ""} ${node.handlers ? "" : "outside"}`, "data-name": node.name });
  const sub = node.failed ? `${node.failed} failed` : node.open ? `${node.open} open` : node.handlers ? `${node.handlers} handler${node.handlers > 1 ? "s" : ""}` : "";
  shape.append(element("rect", { x: x - wide(node) / 2, y: y - HIGH / 2, width: wide(node), height: HIGH }));
  shape.append(text(node.name, x, sub ? y - 2 : y + 4));
  if (sub) shape.append(text(sub, x, y + 13, "sub"));
  shape.addEventListener("mouseenter", () => near(shape, node.name));
  shape.addEventListener("mouseleave", () => near(shape, null));
  const link = element("a", { href: around(graph, node.name) });
  link.append(shape);
  return link;
}

/** The map around this service; the whole one, if it is around it already. */
function around(graph, name) {
  return graph.around === name ? location.pathname : `${location.pathname}?service=${encodeURIComponent(name)}`;
}

function near(shape, name) {
  for (const edge of shape.ownerSVGElement.querySelectorAll(".edge")) {
    const is = name !== null && (edge.dataset.source === name || edge.dataset.target === name);
    edge.classList.toggle("near", is);
    edge.classList.toggle("far", name !== null && !is);
  }
  shape.classList.toggle("near", name !== null);
}

const loop = ([x, y]) => [[x - 16, y - HIGH / 2], [x - 24, y - HIGH], [x + 24, y - HIGH], [x + 16, y - HIGH / 2]];

function curve(points) {
  const [first, ...rest] = points;
  let path = `M${first}`;
  for (let at = 0; at < rest.length - 1; at++) {
    const [x, y] = rest[at];
    const [nx, ny] = rest[at + 1];
    const end = at === rest.length - 2 ? [nx, ny] : [(x + nx) / 2, (y + ny) / 2];
    path += `Q${x},${y} ${end}`;
  }
  return rest.length === 1 ? `${path}L${rest[0]}` : path;
}

function element(name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function text(words, x, y, kind = "") {
  const made = element("text", { x, y, class: kind });
  made.textContent = words;
  return made;
}

function title(words) {
  const made = element("title");
  made.textContent = words;
  return made;
}
