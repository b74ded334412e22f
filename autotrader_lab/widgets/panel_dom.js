// Small tools every part of the panel draws with. Data reaches the page through textContent only, so a symbol or a
// venue's reason can never become markup.

const SVG_NS = "http://www.w3.org/2000/svg";

function node(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const child of children) {
    if (child === null || child === undefined) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

function svgNode(tag, attributes) {
  const element = document.createElementNS(SVG_NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function setText(element, text) {
  const value = text === null || text === undefined ? "" : String(text);
  if (element.textContent !== value) element.textContent = value;
}

// Draw only when what would be drawn has changed: at four snapshots a second most of them say the same.
function whenChanged(element, data, draw) {
  const key = JSON.stringify(data) ?? "";
  if (element.atlKey === key) return;
  element.atlKey = key;
  draw(data);
}

const DASH = "–";
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function asNumber(value) {
  if (isNumber(value)) return value;
  if (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value))) return Number(value);
  return null;
}

function decimals(value, least, most) {
  return value
    .toLocaleString("en-US", { minimumFractionDigits: least, maximumFractionDigits: most })
    .replace("-", "−");
}

function money(value) {
  const number = asNumber(value);
  return number === null ? DASH : decimals(number, 2, 2);
}

function signedMoney(value) {
  const number = asNumber(value);
  if (number === null) return DASH;
  return (number > 0 ? "+" : "") + decimals(number, 2, 2);
}

function price(value) {
  const number = asNumber(value);
  if (number === null || number === 0) return DASH;
  const size = Math.abs(number);
  return size >= 1000 ? decimals(number, 2, 2) : size >= 1 ? decimals(number, 2, 5) : decimals(number, 2, 8);
}

function quantity(value) {
  const number = asNumber(value);
  return number === null ? DASH : decimals(number, 0, 8);
}

function percent(fraction, digits = 2) {
  const number = asNumber(fraction);
  return number === null ? DASH : decimals(number * 100, digits, digits) + " %";
}

function clockTime(timeMs) {
  return isNumber(timeMs) ? new Date(timeMs).toISOString().slice(11, 19) : DASH;
}

function evidenceFigure(value) {
  if (value === null || value === undefined || value === "") return DASH;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (isNumber(value)) return decimals(value, 0, Math.abs(value) >= 100 ? 1 : 4);
  return String(value);
}

function tone(value) {
  const number = asNumber(value);
  return number === null || number === 0 ? "" : number > 0 ? "atl-up" : "atl-down";
}

function table(className, caption, columns) {
  const body = node("tbody");
  const head = node("tr");
  for (const column of columns) {
    const cell = node("th", column.right ? "atl-right" : "", column.title);
    cell.scope = "col";
    head.append(cell);
  }
  const label = node("caption", "atl-sr", caption);
  return { element: node("table", className, label, node("thead", "", head), body), body };
}

function button(className, text, title) {
  const element = node("button", `atl-button ${className}`, text);
  element.type = "button";
  element.title = title;
  return element;
}

function cell(text, className = "") {
  return node("td", className, text);
}

function emptyRow(columnCount, text) {
  const only = node("td", "atl-empty", text);
  only.colSpan = columnCount;
  return node("tr", "", only);
}
