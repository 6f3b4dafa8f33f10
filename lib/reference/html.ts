/** HTML put together from parts. What is not HTML already is escaped, so that no text can become markup. */

export class Html {
    constructor(readonly text: string) {}
}

export type Part = Html | string | number | undefined | readonly Part[];

const ENTITIES: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
};

function render(part: Part): string {
    if (part === undefined) {
        return '';
    }
    if (part instanceof Html) {
        return part.text;
    }
    return typeof part === 'object'
        ? part.map(render).join('')
        : String(part).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}

/** A template whose parts are escaped unless they are HTML; undefined is nothing, a list its items one by one. */
export function markup(strings: TemplateStringsArray, ...parts: Part[]): Html {
    return new Html(strings.map((text, index) => text + render(parts[index])).join(''));
}

export function code(text: string): Html {
    return markup`<code>${text}</code>`;
}

export function link(href: string, content: Part): Html {
    return markup`<a href="${href}">${content}</a>`;
}

/** A sentence with its `code` in backticks. */
export function prose(text: string): Part {
    return text.split('`').map((part, index) => (index % 2 === 1 ? code(part) : part));
}

export function paragraph(...content: Part[]): Html {
    return markup`<p>${content}</p>\n`;
}

/** What a reader types or sees as it is. */
export function block(text: string): Html {
    return markup`<pre><code>${text}</code></pre>\n`;
}

export function list(items: readonly Part[]): Html {
    return markup`<ul>\n${items.map((item) => markup`<li>${item}</li>\n`)}</ul>\n`;
}

/** Items with a comma between them. */
export function inline(items: readonly Part[]): Part {
    return items.map((item, index) => [index > 0 ? ', ' : '', item]);
}

export interface Row {
    /** A place to link to. */
    id?: string;
    /** The first one is the heading of the row. */
    cells: readonly Part[];
}

export function table(caption: string, columns: readonly string[], rows: readonly Row[]): Html {
    const heading = columns.map((title) => markup`<th scope="col">${title}</th>`);
    return markup`<div class="scroll"><table>
<caption>${caption}</caption>
<thead><tr>${heading}</tr></thead>
<tbody>
${rows.map(tableRow)}</tbody>
</table></div>\n`;
}

function tableRow({ id, cells: [first, ...rest] }: Row): Html {
    const place = id === undefined ? undefined : markup` id="${id}"`;
    return markup`<tr${place}><th scope="row">${first}</th>${rest.map((cell) => markup`<td>${cell}</td>`)}</tr>\n`;
}
