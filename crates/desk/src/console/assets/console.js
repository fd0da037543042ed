// What pages cannot do by themselves: the live feed, copying, the reader's own time, keys. Nothing depends on it.
'use strict';

// The server escapes all rows; they are parsed apart and only then put in, and no script can be in them (CSP).
const element = (html) => new DOMParser().parseFromString(html, 'text/html').body.firstElementChild;

// `11:00 GMT+1`, with the day where that is another one; nothing where the reader's clock shows UTC.
const zoneName = new Intl.DateTimeFormat(undefined, { timeZoneName: 'short' });
const localTime = (at) => {
  if (at.getTimezoneOffset() === 0) return '';
  const two = (number) => String(number).padStart(2, '0');
  const sameDay = at.getDate() === at.getUTCDate();
  const day = sameDay ? '' : `${two(at.getMonth() + 1)}-${two(at.getDate())} `;
  const zone = zoneName.formatToParts(at).find((part) => part.type === 'timeZoneName')?.value ?? '';
  return `${day}${two(at.getHours())}:${two(at.getMinutes())} ${zone}`;
};

const localTimes = (root) => {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    const local = Number.isNaN(at.getTime()) ? '' : localTime(at);
    if (!local) continue;
    const span = document.createElement('span');
    span.className = 'local';
    span.textContent = time.closest('td') ? local : ` (${local})`;
    time.append(span);
  }
};

const feed = (list) => {
  const source = new EventSource(list.dataset.live);
  source.addEventListener('incident', (event) => {
    const row = element(event.data);
    if (!row) return;
    document.getElementById(row.id)?.remove();
    row.classList.add('fresh');
    list.prepend(row);
    localTimes(row);
    while (list.children.length > 40) list.lastElementChild.remove();
  });
  const held = new Map();
  const put = (part) => {
    const old = document.getElementById(part.id);
    // Nobody loses the place that the keyboard is at: what is new of that part waits until it has moved on.
    if (old?.contains(document.activeElement)) {
      held.set(part.id, part);
      return;
    }
    held.delete(part.id);
    old?.replaceWith(part);
    localTimes(part);
  };
  source.addEventListener('part', (event) => {
    const part = element(event.data);
    if (part) put(part);
  });
  document.addEventListener('focusout', () => setTimeout(() => [...held.values()].forEach(put)));
  source.addEventListener('open', () => { list.dataset.state = 'open'; });
  source.addEventListener('error', () => {
    if (list.dataset.state === 'waiting') return;
    list.dataset.state = 'waiting';
    // What the page says of the honeypot is true no more; the next part takes this away.
    const lost = document.createElement('p');
    lost.className = 'lost';
    lost.setAttribute('role', 'status');
    const now = new Date().toISOString();
    const time = document.createElement('time');
    time.dateTime = now;
    time.textContent = `${now.slice(0, 19).replace('T', ' ')} UTC`;
    lost.append('The connection to the console is lost. This is as of ', time, '.');
    localTimes(lost);
    document.getElementById('pulse')?.prepend(lost);
  });
  addEventListener('pagehide', () => source.close());
};

// What is said aloud.
const told = document.createElement('p');
told.className = 'hidden';
told.setAttribute('role', 'status');
document.body.append(told);

const copy = async (node) => {
  try {
    await navigator.clipboard.writeText(node.dataset.copy);
  } catch {
    getSelection().selectAllChildren(node);
    return;
  }
  node.classList.add('copied');
  told.textContent = 'copied';
  setTimeout(() => {
    node.classList.remove('copied');
    told.textContent = '';
  }, 1500);
};

// A pointer may copy by a click on the text; keys and screen readers get a button behind it.
for (const node of document.querySelectorAll('[data-copy]')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy';
  button.setAttribute('aria-label', `copy ${node.textContent}`);
  button.addEventListener('click', () => copy(node));
  (node.closest('a') ?? node).after(button);
}

document.addEventListener('click', (event) => {
  const node = event.target.closest?.('[data-copy]');
  if (node && !event.target.closest('a')) copy(node);
});

// A field and its bytes light up together.
const light = (node) => {
  document.querySelectorAll('.lit').forEach((lit) => lit.classList.remove('lit'));
  const name = node?.dataset.field;
  if (name) document.querySelectorAll(`[data-field="${CSS.escape(name)}"]`).forEach((part) => part.classList.add('lit'));
};
for (const kind of ['mouseover', 'focusin']) {
  document.addEventListener(kind, (event) => light(event.target.closest?.('[data-field]')));
}

// Single letters can be turned off (WCAG 2.1.4): who speaks to his computer types many.
const help = document.getElementById('keys');
const letters = document.getElementById('letters');
const named = [...document.querySelectorAll('[aria-keyshortcuts]')].map((node) => [node, node.getAttribute('aria-keyshortcuts')]);
const useLetters = (on) => {
  letters.checked = on;
  for (const [node, key] of named) {
    if (on) node.setAttribute('aria-keyshortcuts', key);
    else node.removeAttribute('aria-keyshortcuts');
  }
};
// A browser may forbid pages to keep anything: then it holds for this page.
const kept = (write) => {
  try {
    if (write !== undefined) localStorage.setItem('letters', write);
    return localStorage.getItem('letters');
  } catch {
    return null;
  }
};
useLetters(kept() !== 'off');
letters.addEventListener('change', () => {
  useLetters(letters.checked);
  kept(letters.checked ? 'on' : 'off');
});
const opener = document.getElementById('keys-open');
opener.hidden = false;
opener.addEventListener('click', () => help.showModal());

// The next row, or the one before: its first link is at the keyboard then, and Enter opens it.
const move = (by) => {
  const rows = [...document.querySelectorAll('section.table tbody tr, #live li')].filter((row) => row.querySelector('a'));
  const here = rows.findIndex((row) => row.contains(document.activeElement));
  rows[here < 0 ? 0 : here + by]?.querySelector('a').focus();
};

document.addEventListener('keydown', (event) => {
  // What lies in a dialog that has just been closed may have the focus until the next frame.
  const types = event.target.matches('input, select, textarea') && event.target.checkVisibility();
  if (event.ctrlKey || event.metaKey || event.altKey || types) return;
  if (!letters.checked || help.open) return;
  if (event.key === '?') {
    help.showModal();
  } else if (event.key === 'j' || event.key === 'k') {
    move(event.key === 'j' ? 1 : -1);
  } else if (event.key === '/') {
    event.preventDefault();
    document.getElementById('q')?.focus();
  } else if (/^[a-z]$/.test(event.key)) {
    document.querySelector(`header.top a[data-key="${event.key}"]`)?.click();
  }
});

// An address says what is asked, and not what is not.
document.querySelector('.filter form')?.addEventListener('formdata', ({ formData }) => {
  for (const [name, value] of [...formData]) if (value === '') formData.delete(name);
});

localTimes(document);
const zone = document.querySelector('footer .zone');
if (zone) {
  const yours = Intl.DateTimeFormat().resolvedOptions().timeZone;
  zone.textContent = localTime(new Date()) ? `, the small ones behind them ${yours}` : `, yours is ${yours}`;
}
const list = document.querySelector('[data-live]');
if (list) feed(list);
