/**
 * The page works without it. It searches while a person types, with the results of the same page, and adds buttons that copy
 * commands. Plain JavaScript for browsers; no build reads it.
 */
export const SCRIPT = String.raw`'use strict';

const TYPING_PAUSE_MS = 150;

function addCopyButtons(root) {
  for (const block of root.querySelectorAll('[data-copy]')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'copy';
    button.textContent = 'Copy';
    button.setAttribute('aria-label', 'Copy ' + block.dataset.copy);
    button.addEventListener('click', async () => {
      button.textContent = (await copy(block.querySelector('code'))) ? 'Copied' : 'Press Ctrl+C';
      announce(button.textContent);
      setTimeout(() => {
        button.textContent = 'Copy';
      }, 2000);
    });
    block.append(button);
  }
}

/** The clipboard needs HTTPS; the selection works without, and shows what to copy if both fail. */
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand('copy');
  }
}

function announce(text) {
  document.getElementById('announcement').textContent = text;
}

function searchWhileTyping(form) {
  const input = form.querySelector('input[type=search]');
  let timer;
  let running = new AbortController();
  const search = async () => {
    running.abort();
    running = new AbortController();
    const url = new URL(form.action);
    for (const [name, value] of new FormData(form)) if (value !== '') url.searchParams.set(name, value);
    const shown = url.href;
    url.searchParams.set('part', 'results');
    try {
      const response = await fetch(url, { signal: running.signal });
      if (!response.ok) throw new Error(response.statusText);
      const text = await response.text();
      const results = document.getElementById('results');
      results.innerHTML = text;
      document.getElementById('count').textContent = results.querySelector('[data-count]').dataset.count;
      history.replaceState(null, '', shown);
    } catch (error) {
      // The whole page shows what is wrong.
      if (error.name !== 'AbortError') form.submit();
    }
  };
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(search, TYPING_PAUSE_MS);
  });
  // As on many pages: "/" leads to the search.
  document.addEventListener('keydown', (event) => {
    const isTyping = event.target.closest('input, select, textarea') !== null;
    if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
  });
}

addCopyButtons(document);
const search = document.querySelector('form[data-live]');
if (search !== null) searchWhileTyping(search);
`;
