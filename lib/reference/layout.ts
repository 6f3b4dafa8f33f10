/** What all pages have around them. */
import { link, list, markup, type Html, type Part } from './html';

/** The pages, in the order of the menu; by their addresses seen from /docs/. */
const MENU = [
    { href: './', title: 'Overview' },
    { href: 'endpoints.html', title: 'Endpoints' },
    { href: 'objects.html', title: 'Objects' },
    { href: 'errors.html', title: 'Errors' },
    { href: 'openapi.json', title: 'OpenAPI' },
] as const;

/** An entry of the table of contents; leads to an id of the page. */
export interface Entry {
    id: string;
    title: string;
    entries?: readonly Entry[];
}

function contents(entries: readonly Entry[]): Html {
    return list(
        entries.map(({ id, title, entries: inner }) => [link(`#${id}`, title), inner && contents(inner)]),
    );
}

function menuItem({ href, title }: (typeof MENU)[number], current: string): Html {
    const mark = href === current ? markup` aria-current="page"` : undefined;
    return markup`<a href="${href}"${mark}>${title}</a>\n`;
}

export interface PageHead {
    /** The page's address in the menu. */
    href: (typeof MENU)[number]['href'];
    title: string;
    entries: readonly Entry[];
}

/** A whole page. All its links are relative, so that it can stand behind a prefix. */
export function page({ href, title, entries }: PageHead, main: Part): string {
    return markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} – IMGAPI</title>
<link rel="icon" href="../favicon.ico">
<link rel="stylesheet" href="style.css">
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><nav class="site" aria-label="Pages">
<strong>IMGAPI</strong>
${MENU.map((item) => menuItem(item, href))}</nav></header>
<div class="frame">
<nav class="contents" aria-labelledby="contents">
<h2 id="contents">On this page</h2>
${contents(entries)}</nav>
<main id="main" tabindex="-1">
<h1>${title}</h1>
${main}</main>
</div>
</body>
</html>
`.text;
}
