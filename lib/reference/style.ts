/** The style sheet of the pages: no fonts, no images, nothing from elsewhere. */

export interface Palette {
    readonly page: string;
    readonly text: string;
    readonly quiet: string;
    readonly link: string;
    readonly line: string;
    /** Behind code and table headings. */
    readonly raised: string;
    readonly badge: string;
    readonly get: string;
    readonly post: string;
    readonly put: string;
    readonly delete: string;
}

/** Text on its ground has a contrast of 4.5 : 1 or more in both; a test holds them to that. */
export const PALETTES: Readonly<Record<'light' | 'dark', Palette>> = {
    light: {
        page: '#ffffff',
        text: '#1c2128',
        quiet: '#57606a',
        link: '#0a57c2',
        line: '#d5dae0',
        raised: '#f3f5f7',
        badge: '#ffffff',
        get: '#17692f',
        post: '#0a57c2',
        put: '#8a4b00',
        delete: '#b3211d',
    },
    dark: {
        page: '#14181d',
        text: '#dfe4ea',
        quiet: '#9aa5b1',
        link: '#7db4ff',
        line: '#333b45',
        raised: '#1e242b',
        badge: '#14181d',
        get: '#6bd08a',
        post: '#7db4ff',
        put: '#f0b35e',
        delete: '#ff938b',
    },
};

function variables(palette: Palette): string {
    return Object.entries(palette)
        .map(([name, value]) => `--${name}: ${String(value)};`)
        .join(' ');
}

export const STYLE = `:root { color-scheme: light dark; ${variables(PALETTES.light)} }
@media (prefers-color-scheme: dark) { :root { ${variables(PALETTES.dark)} } }

* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, sans-serif;
}
a { color: var(--link); text-underline-offset: 0.15em; }
a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
h1 { font-size: 1.9rem; margin: 0 0 1rem; }
h2 { font-size: 1.4rem; margin: 3rem 0 0.75rem; padding-top: 0.75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.15rem; margin: 2.5rem 0 0.5rem; }
h3 a, h2 a { color: inherit; text-decoration: none; }
h3 a:hover, h2 a:hover { text-decoration: underline; }
p, ul, dl { margin: 0 0 0.9rem; }
ul { padding-left: 1.3rem; }
dt { font-weight: 600; }
dd { margin: 0 0 0.5rem; }
code, pre { font: 0.9em/1.5 ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; }
code { overflow-wrap: anywhere; }
p code, dd code, td code, li code { background: var(--raised); border-radius: 3px; padding: 0.1em 0.25em; }
pre {
  background: var(--raised); border: 1px solid var(--line); border-radius: 6px;
  padding: 0.75rem 1rem; margin: 0 0 1rem; overflow-x: auto; tab-size: 4;
}
pre code { overflow-wrap: normal; user-select: all; }

.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: 1rem; background: var(--page); padding: 0.5rem 1rem; z-index: 1; }
.site { border-bottom: 1px solid var(--line); padding: 0.75rem 1.25rem; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }
.site strong { margin-right: auto; }
.site a { text-decoration: none; }
.site a:hover { text-decoration: underline; }
.site [aria-current] { font-weight: 600; color: var(--text); }
.frame { max-width: 78rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
.contents { margin-bottom: 2rem; font-size: 0.92rem; }
.contents h2 { font-size: 1rem; margin: 0 0 0.5rem; padding: 0; border: 0; }
.contents ul { list-style: none; margin: 0; padding: 0; }
.contents ul ul { padding: 0 0 0.6rem 0.8rem; }
.contents a { display: inline-block; padding: 0.1rem 0; text-decoration: none; }
.contents a:hover { text-decoration: underline; }
@media (max-width: 55.99rem) {
  .contents { max-height: 45vh; overflow: auto; border: 1px solid var(--line); border-radius: 6px; padding: 0.75rem 1rem; }
}
@media (min-width: 56rem) {
  .frame { display: grid; grid-template-columns: 15rem minmax(0, 1fr); gap: 3rem; }
  .contents { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow: auto; padding: 1rem 0; margin: -1rem 0 0; }
}

.scroll { overflow-x: auto; margin: 0 0 1.1rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.94rem; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.3rem; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.75rem 0.4rem 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); font-weight: 600; font-size: 0.85rem; }
tbody th { font-weight: 400; }
tbody th code { overflow-wrap: normal; }
td { overflow-wrap: break-word; }
tr:target, section:target > h3 { background: var(--raised); }
.note { color: var(--quiet); font-size: 0.85rem; }
.request { overflow-wrap: anywhere; }
.method {
  display: inline-block; min-width: 4.2em; text-align: center; border-radius: 4px; padding: 0.1em 0.5em; margin-right: 0.4em;
  font: 600 0.8rem/1.6 ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; color: var(--badge);
}
.get { background: var(--get); } .post { background: var(--post); } .put { background: var(--put); } .delete { background: var(--delete); }
@media print { .site, .contents { display: none; } pre { white-space: pre-wrap; } }
`;
