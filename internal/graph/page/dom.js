// Elements are made here and nowhere else: text goes in as text nodes, so that
// nothing of a drawing can become markup. What is hidden in a text has been written out
// by who made the page.

const SVG = 'http://www.w3.org/2000/svg';

// El makes an element. Children are strings, elements, or null for nothing; an
// attribute that is false or undefined is left out.
function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.flat(2).filter((child) => child != null && child !== false && child !== ''));
  return node;
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function button(label, action, attributes) {
  const node = el('button', { type: 'button', ...attributes }, label);
  node.addEventListener('click', action);
  return node;
}

function plural(n, one, many = `${one}s`) {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

// Link is a link out of the page where the address is one of the web's, else text.
function link(text, url) {
  return /^https?:\/\//i.test(url ?? '') ? el('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, text) : text;
}
