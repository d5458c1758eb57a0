/** The style of the page: system fonts, the colours of the reader's device, one column that narrows with the screen. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --line: #d5d9e0; --soft: #f4f6f9; --dim: #5b6472; --link: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a404b; --soft: #20242b; --dim: #a0a8b5; --link: #7db8f5; }
  body { background: #15181d; color: #e6e9ee; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 56rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--link); }
h1 { margin: 0.5rem 0; }
h2 { margin: 3rem 0 0.5rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: 1.25rem; overflow-wrap: anywhere; }
h3 { margin: 1.5rem 0 0.25rem; font-size: 1rem; }
h4 { margin: 1rem 0 0; font-size: 1rem; }
p { margin: 0.25rem 0; }
code, pre { font: 0.875rem/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; margin: 0.5rem 0; padding: 0.75rem; border-radius: 6px; background: var(--soft); }
.method { padding: 0.1rem 0.5rem; border-radius: 4px; background: var(--link); color: Canvas; font-size: 0.875rem; text-transform: uppercase; }
.dim { color: var(--dim); }
nav ul, ul.problems { list-style: none; margin: 0.5rem 0; padding: 0; }
nav li, ul.problems li { margin: 0.25rem 0; overflow-wrap: anywhere; }
dl { margin: 0.5rem 0; }
dt { margin-top: 0.5rem; overflow-wrap: anywhere; }
dd { margin: 0 0 0 1rem; color: var(--dim); overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--link); }
`;
