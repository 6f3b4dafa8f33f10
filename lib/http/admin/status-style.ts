import { createHash } from 'node:crypto';
import { PALETTES, type Palette } from '../../reference/style';

function variables({ page, text, quiet, link, line, raised, get, put, delete: bad }: Palette): string {
    const colours = { page, text, quiet, link, line, raised, good: get, doubtful: put, bad };
    return Object.entries(colours)
        .map(([name, value]) => `--${name}: ${value};`)
        .join(' ');
}

export const STATUS_STYLE = `
:root { color-scheme: light dark; ${variables(PALETTES.light)} }
@media (prefers-color-scheme: dark) { :root { ${variables(PALETTES.dark)} } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 72rem; padding: 0 1.25rem 3rem; background: var(--page); color: var(--text); font: 0.95rem/1.5 system-ui, sans-serif; }
a { color: var(--link); text-underline-offset: 0.15em; }
a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.25rem 1rem; padding: 1.4rem 0 1rem; border-bottom: 1px solid var(--line); }
h1 { font-size: 1.35rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
header p { margin: 0; color: var(--quiet); }
nav { margin-left: auto; display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
h2 { font-size: 1rem; margin: 0 0 0.6rem; }
section { margin-top: 2rem; min-width: 0; }
.state::before { content: ""; display: inline-block; width: 0.6em; height: 0.6em; border-radius: 50%; background: currentColor; margin-right: 0.45em; }
.good { color: var(--good); } .doubtful { color: var(--doubtful); } .bad { color: var(--bad); }
header .state { font-weight: 600; }
.warnings { margin-top: 1.25rem; border: 1px solid var(--doubtful); border-left-width: 4px; border-radius: 6px; padding: 0.75rem 1rem; }
.warnings h2 { color: var(--doubtful); margin-bottom: 0.25rem; }
.warnings ul { margin: 0; padding-left: 1.1rem; }
.numbers { display: flex; flex-wrap: wrap; gap: 1px; margin: 1.5rem 0 0; background: var(--line); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.numbers div { flex: 1 1 8.5rem; background: var(--page); padding: 0.7rem 0.9rem; }
.numbers dt { color: var(--quiet); font-size: 0.82rem; }
.numbers dd { margin: 0.1rem 0 0; font-size: 1.3rem; line-height: 1.3; font-variant-numeric: tabular-nums; white-space: nowrap; }
.numbers small { font-size: 0.8rem; color: var(--quiet); display: block; white-space: normal; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 2.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; vertical-align: top; padding: 0.32rem 0.9rem 0.32rem 0; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--quiet); font-weight: 500; font-size: 0.8rem; }
tbody th { font-weight: 400; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.time { white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--quiet); }
.long { overflow-wrap: anywhere; min-width: 10rem; }
.mono { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; font-size: 0.92em; }
.empty { color: var(--quiet); margin: 0; }
meter { width: 100%; min-width: 5rem; height: 0.6rem; }
footer { margin-top: 2.5rem; color: var(--quiet); font-size: 0.85rem; }
`;

/** Lets this style sheet and nothing else work on the page. */
export const CONTENT_SECURITY =
    `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STATUS_STYLE).digest('base64')}'; ` +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
