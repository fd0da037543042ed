// What pages cannot do by themselves: the live feed, copying, the reader's own time, keys. Nothing depends on it.
'use strict';

// The server escapes all rows; they are parsed apart and only then put in, and no script can be in them (CSP).
const element = (html) => new DOMParser().parseFromString(html, 'text/html').body.firstElementChild;

const localTimes = (root) => {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.getTime())) time.title = at.toLocaleString(undefined, { timeZoneName: 'short' });
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
  source.addEventListener('part', (event) => {
    const part = element(event.data);
    const old = part && document.getElementById(part.id);
    if (!old) return;
    old.replaceWith(part);
    localTimes(part);
  });
  source.addEventListener('open', () => { list.dataset.state = 'open'; });
  source.addEventListener('error', () => {
    if (list.dataset.state === 'waiting') return;
    list.dataset.state = 'waiting';
    // What the page says of the honeypot is true no more; the next part takes this away.
    const lost = document.createElement('p');
    lost.className = 'lost';
    lost.setAttribute('role', 'status');
    lost.textContent = `The connection to the console is lost. This is as of ${new Date().toLocaleTimeString()}.`;
    document.getElementById('pulse')?.prepend(lost);
  });
  addEventListener('pagehide', () => source.close());
};

const copy = async (node) => {
  try {
    await navigator.clipboard.writeText(node.dataset.copy);
  } catch {
    getSelection().selectAllChildren(node);
    return;
  }
  node.classList.add('copied');
  setTimeout(() => node.classList.remove('copied'), 1500);
};

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

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input, select, textarea')) return;
  if (event.key === '/') {
    event.preventDefault();
    document.getElementById('q')?.focus();
  } else if (/^[a-z]$/.test(event.key)) {
    document.querySelector(`header.top a[data-key="${event.key}"]`)?.click();
  }
});

localTimes(document);
const zone = document.querySelector('footer .zone');
if (zone) zone.textContent = `, yours is ${Intl.DateTimeFormat().resolvedOptions().timeZone}: hold the pointer over a time`;
const list = document.querySelector('[data-live]');
if (list) feed(list);
