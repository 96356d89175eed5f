// Serialises the page as a person sees it, for the page reader: what is not visible is left out, values are those of the
// moment (of passwords none), every control has a number, and those that belong to no form belong to one that stands for
// the page. Open shadow roots are read as part of the page.
const PAGE_FORM = 'grantproof-page';
const SKIPPED = new Set(['style', 'link', 'svg', 'template', 'noscript', 'canvas', 'video', 'audio', 'object', 'embed']);
const VOID = new Set(['input', 'img', 'br', 'hr', 'meta', 'base', 'wbr', 'area', 'col', 'source', 'track']);
const PRESSED = new Set(['submit', 'button', 'image']);
const controls = [];
let out = '';
const text = (value) => value.replace(/&/g, '&amp;').replace(/</g, '&lt;');
const attribute = (name, value) => { out += ` ${name}="${text(String(value)).replace(/"/g, '&quot;')}"`; };
const seen = (element) => element.checkVisibility({ visibilityProperty: true }) || getComputedStyle(element).display === 'contents';

function isButton(element) {
  if (element.localName === 'input') return PRESSED.has(element.type);
  if (element.localName === 'button' || element.getAttribute('role') === 'button') return true;
  const address = element.getAttribute('href');
  return element.localName === 'a' && (!address || address.startsWith('#') || address.startsWith('javascript:'));
}

function walk(node) {
  if (node.nodeType === Node.TEXT_NODE) {
    out += node.parentNode.localName === 'script' ? node.data.slice(0, 16384) : text(node.data);
    return;
  }
  if (node.nodeType !== Node.ELEMENT_NODE && node.nodeType !== Node.DOCUMENT_FRAGMENT_NODE) return;
  if (node.nodeType === Node.DOCUMENT_FRAGMENT_NODE) return node.childNodes.forEach(walk);
  let name = node.localName;
  if (SKIPPED.has(name)) return;
  const input = name === 'input', field = input || name === 'select' || name === 'textarea', button = isButton(node);
  const unseen = ['html', 'head', 'title', 'meta', 'base', 'script', 'body', 'option', 'optgroup', 'slot'].includes(name)
    // Boxes are often drawn by something else, and hidden themselves.
    || input && ['hidden', 'checkbox', 'radio'].includes(node.type);
  if (!unseen && !seen(node)) return;
  if (button && !input) name = 'button';
  out += '<' + name;
  for (const { name: key, value } of node.attributes) {
    if (!/^(style|type|value|checked|disabled|form|data-grantproof.*|on.*)$/.test(key) && value.length < 2000) attribute(key, value);
  }
  if (field || button) {
    attribute('data-grantproof', controls.push(node) - 1);
    const around = node.closest('form');
    if (!node.form && !around) attribute('form', PAGE_FORM);
    else if (node.form && node.form !== around && node.form.id) attribute('form', node.form.id);
    if (node.matches(':disabled') || node.getAttribute('aria-disabled') === 'true') out += ' disabled';
    if (node.checked) out += ' checked';
    if (!node.name && field) attribute('name', node.id || node.getAttribute('aria-label') || node.placeholder || 'field ' + controls.length);
    attribute('type', button ? 'submit' : node.type);
    if (node.type !== 'password' && node.value !== undefined) attribute('value', node.value);
  }
  out += '>';
  if (VOID.has(name)) return;
  if (node.shadowRoot) walk(node.shadowRoot);
  if (node.localName !== 'textarea') node.childNodes.forEach(walk);
  out += `</${name}>`;
}

walk(document.documentElement);
out += `<form id="${PAGE_FORM}"></form>`;
return { html: out, controls, ready: document.readyState === 'complete', url: location.href };
