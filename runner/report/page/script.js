'use strict';
(() => {
  const table = document.getElementById('jobs-table');
  const reveal = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && document.getElementById(id);
    if (!target) return;
    for (let fold = target.closest('details'); fold; fold = fold.parentElement.closest('details'))
      fold.open = true;
    if (target.tabIndex === -1) target.focus({preventScroll: true});
    target.scrollIntoView();
  };
  addEventListener('hashchange', reveal);
  document.addEventListener('click', event => {
    const link = event.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) reveal();
  });
  reveal();

  let folded = [];
  addEventListener('beforeprint', () => {
    folded = [...document.querySelectorAll('details:not([open])')];
    for (const fold of folded) fold.open = true;
  });
  addEventListener('afterprint', () => { for (const fold of folded) fold.open = false; });

  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];

  const search = document.getElementById('search');
  const state = document.getElementById('state');
  const found = document.getElementById('found');
  const filter = () => {
    const words = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = (!state.value || row.dataset.s === state.value) &&
        row.cells[0].textContent.toLowerCase().includes(words);
      row.hidden = !fits;
      shown += fits;
    }
    found.textContent = shown === rows.length ? '' :
      `${shown.toLocaleString('en')} of ${rows.length.toLocaleString('en')} jobs shown`;
  };
  const tools = document.getElementById('tools');
  tools.addEventListener('submit', event => event.preventDefault());
  search.addEventListener('input', filter);
  state.addEventListener('change', filter);
  tools.hidden = false;
  filter();

  const value = (row, column, kind) => {
    const cell = row.cells[column];
    if (kind === 'text') return cell.textContent;
    const number = Number(cell.dataset.v ?? cell.textContent.replaceAll(',', ''));
    return Number.isNaN(number) ? -1 : number;
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const kind = head.dataset.sort;
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const now = head.getAttribute('aria-sort');
      const first = kind === 'text' || column === 1 ? 'ascending' : 'descending';
      const other = first === 'ascending' ? 'descending' : 'ascending';
      const order = now === first ? other : first;
      const sign = order === 'ascending' ? 1 : -1;
      for (const one of heads) one.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', order);
      const keyed = rows.map(row => [value(row, column, kind), row]);
      keyed.sort(([a], [b]) => sign * (kind === 'text' ? a.localeCompare(b, 'en') : a - b));
      body.append(...keyed.map(([, row]) => row));
    });
  });
})();
