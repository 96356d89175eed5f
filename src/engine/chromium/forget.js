// Empties what must not be seen on a picture: passwords, and what was typed in fields that are none.
const typed = arguments[0];
function empty(root) {
  for (const element of root.querySelectorAll('*')) {
    if (element.shadowRoot) empty(element.shadowRoot);
    if (element.localName === 'input' && (element.type === 'password' || typed.includes(element.value))) element.value = '';
  }
}
empty(document);
