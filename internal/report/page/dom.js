// Elements are made here and nowhere else: text goes in as text nodes, so that
// nothing of a report can become markup.

// What a browser would hide or obey is shown by its code: control characters,
// what turns the direction of text or has no width, unusual spaces.
const HIDDEN = /[^\p{L}\p{M}\p{N}\p{P}\p{S} \n\t]/gu;
const SPOKEN = new Set(['title', 'aria-label']);

function visible(text) {
  return text.replace(HIDDEN, (c) => {
    const code = c.codePointAt(0);
    const [sign, digits] = code <= 0xff ? ['x', 2] : code <= 0xffff ? ['u', 4] : ['U', 8];
    return `\\${sign}${code.toString(16).padStart(digits, '0')}`;
  });
}

// El makes an element. Children are strings, elements, or null for nothing; an
// attribute that is false or undefined is left out, and one that people read
// shows what is hidden.
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? '' : SPOKEN.has(name) ? visible(String(value)) : String(value));
  }
  node.append(...children.flat().filter((child) => child != null && child !== false).map((child) => (child instanceof Node ? child : visible(String(child)))));
  return node;
}

function button(label, action, attributes) {
  const node = el('button', { type: 'button', ...attributes }, label);
  node.addEventListener('click', action);
  return node;
}

// Link is a link out of the page where the address is one of the web's, else text.
function link(text, url) {
  return /^https?:\/\//i.test(url ?? '') ? el('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, text) : text;
}

// CopyButton copies text, or selects what shows it where the browser forbids.
function copyButton(text, shown) {
  const node = button('Copy', async () => {
    try {
      await navigator.clipboard.writeText(text);
      node.textContent = 'Copied';
      setTimeout(() => { node.textContent = 'Copy'; }, 1500);
    } catch {
      getSelection().selectAllChildren(shown);
      node.textContent = 'Selected';
    }
  });
  return node;
}

function plural(n, one, many = `${one}s`) {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}
