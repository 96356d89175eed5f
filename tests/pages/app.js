// The pages of the test server: nothing of them is in the HTML.
const root = document.getElementById('root');
const back = new URLSearchParams(location.search).get('return');

async function post(path, body) {
  const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  return [answer.status, await answer.json()];
}

function show(title, fields, buttons) {
  root.replaceChildren();
  root.append(Object.assign(document.createElement('h1'), { textContent: title }));
  for (const [id, type, hint] of fields) root.append(Object.assign(document.createElement('input'), { id, type, placeholder: hint }));
  for (const [text, pressed] of buttons) {
    const button = Object.assign(document.createElement('div'), { textContent: text, onclick: pressed });
    button.setAttribute('role', 'button');
    root.append(button);
  }
}

const value = (id) => document.getElementById(id).value;
const menu = ['Menu', () => post('/api/mistake', {})];

function complain(text) {
  root.append(Object.assign(document.createElement('p'), { className: 'error', textContent: text }));
}

// Some pages wait a little before they go on, with nothing under way.
const leave = (to, wait) => setTimeout(() => { location.href = to; }, wait);

async function start() {
  const [, config] = await post('/api/config', {});
  if (location.pathname === '/consent') {
    return show('An application asks', [], [menu, ['Deny', () => post('/api/mistake', {})], ['Allow', async () => {
      await post('/api/consent', {});
      leave(back, config.wait);
    }]]);
  }
  show('Sign in', [['who', 'text', 'User name'], ['secret', 'password', 'Password']], [menu, ['Sign in', async () => {
    const [status, answer] = await post('/api/login', { user: value('who'), password: value('secret') });
    if (status !== 200) return complain('That is not right.');
    if (!answer.otp) return leave(back, config.wait);
    show('One more step', [['otp', 'text', 'Code']], [['Los', async () => {
      const [checked] = await post('/api/otp', { code: value('otp') });
      return checked === 200 ? leave(back, config.wait) : complain('That code is not right.');
    }]]);
  }]]);
}

start();
