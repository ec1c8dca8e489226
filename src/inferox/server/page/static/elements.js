// Elements of the page. Text is only ever added as text: nothing that a request or a package says becomes HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Makes an element of HTML. */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Makes an element of SVG. */
export function drawn(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** A number of things, as it is written: 1 row, 2,048 rows. */
export function counted(count, one, several = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : several}`;
}

/** The element of the page with an id. */
export function find(id) {
  return document.getElementById(id);
}

/** A path whose lines may break after each slash. */
export function breakable(path) {
  return element("span", {}, ...path.split("/").flatMap((part, index) => (index ? ["/", element("wbr"), part] : [part])));
}

/** A number with about three digits. */
export function digits(number) {
  if (number === null || number === undefined || Number.isNaN(number)) return "–";
  const size = Math.abs(number);
  if (size >= 1000 || Number.isInteger(number)) return Math.round(number).toLocaleString("en");
  return size >= 100 ? number.toFixed(0) : size >= 10 ? number.toFixed(1) : number.toPrecision(2);
}

/** A small number as a power of ten. */
export function exponential(number) {
  return number === 0 ? "0" : number.toExponential(1);
}

let key = "";

/** Sends this API key from now on. */
export function useKey(given) {
  // Headers hold bytes, of which each letter is one.
  key = String.fromCharCode(...new TextEncoder().encode(given));
}

/** Whether there is a key to send. */
export function hasKey() {
  return key !== "";
}

/** Asks the server, and throws what it says where that is an error. */
export async function ask(path, { body = null, headers = {} } = {}) {
  const sent = { ...headers };
  if (key) sent.authorization = `Bearer ${key}`;
  if (body !== null && !sent["content-type"]) sent["content-type"] = "application/json";
  let answer = null;
  let text = "";
  try {
    answer = await fetch(path, { method: body === null ? "GET" : "POST", body, headers: sent });
    text = await answer.text();
  } catch {
    throw new Error("the server does not answer");
  }
  let said = null;
  try {
    said = JSON.parse(text);
  } catch {
    said = { error: text.slice(0, 500) };
  }
  if (!answer.ok) {
    const error = said?.error?.message ?? said?.error ?? said?.message ?? answer.statusText;
    throw Object.assign(new Error(String(error)), { status: answer.status });
  }
  return { said, headers: answer.headers };
}
