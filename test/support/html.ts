/** Reads HTML as strictly as nobody else does: every tag closed, every value quoted, every `&` and `<` escaped. */
import assert from 'node:assert/strict';

/** Elements without content. */
const VOID = new Set(['meta', 'link', 'br', 'hr', 'img', 'input']);

/** What text may hold of entities. */
const ENTITY = /&(?!(?:amp|lt|gt|quot|#39);)/;

const TAG = /^<(\/?)([a-z][a-z0-9]*)((?: [a-z-]+="[^"<>]*")*)>/;
const ATTRIBUTE = / ([a-z-]+)="([^"]*)"/g;

export interface Element {
    readonly name: string;
    readonly attributes: ReadonlyMap<string, string>;
    readonly children: (Element | string)[];
}

const ENTITIES: Readonly<Record<string, string>> = {
    '&amp;': '&',
    '&lt;': '<',
    '&gt;': '>',
    '&quot;': '"',
    '&#39;': "'",
};

function decoded(text: string): string {
    assert.doesNotMatch(text, ENTITY, `"${text}" has an & that is not escaped`);
    return text.replace(/&[a-z0-9#]+;/g, (entity) => ENTITIES[entity] ?? entity);
}

function attributesOf(text: string): Map<string, string> {
    const attributes = new Map<string, string>();
    for (const [, name = '', value = ''] of text.matchAll(ATTRIBUTE)) {
        assert.ok(!attributes.has(name), `${name} is given twice`);
        attributes.set(name, decoded(value));
    }
    return attributes;
}

/** The document's root element. @throws AssertionError if it is not well-formed */
export function parseHtml(text: string): Element {
    const doctype = '<!DOCTYPE html>\n';
    assert.ok(text.startsWith(doctype), 'a page begins with its type');
    const root: Element = { name: '', attributes: new Map(), children: [] };
    const open: Element[] = [root];
    for (let at = doctype.length; at < text.length;) {
        const current = open.at(-1);
        assert.ok(current, 'a tag is closed that was not open');
        const rest = text.slice(at, text.indexOf('>', at) + 1);
        if (text[at] !== '<') {
            const end = text.indexOf('<', at);
            const part = text.slice(at, end === -1 ? text.length : end);
            assert.ok(!part.includes('>'), `"${part}" has a > that is not escaped`);
            current.children.push(decoded(part));
            at += part.length;
            continue;
        }
        const [tag = '', closing, name = '', attributes = ''] = TAG.exec(rest) ?? [];
        assert.ok(tag, `${rest} is no tag`);
        at += tag.length;
        if (closing) {
            assert.equal(name, current.name, `</${name}> closes <${current.name}>`);
            open.pop();
        } else {
            const element = { name, attributes: attributesOf(attributes), children: [] };
            current.children.push(element);
            if (!VOID.has(name)) {
                open.push(element);
            }
        }
    }
    assert.deepEqual(open, [root], 'every element is closed');
    const elements = root.children.filter((child) => typeof child !== 'string');
    const [document] = elements;
    assert.ok(document && elements.length === 1, 'there is one root element');
    return document;
}

/** The element itself and all within it, in the order of the document. */
export function* elementsOf(element: Element): Generator<Element> {
    yield element;
    for (const child of element.children) {
        if (typeof child !== 'string') {
            yield* elementsOf(child);
        }
    }
}

/** The elements of a name. */
export function findAll(root: Element, name: string): Element[] {
    return [...elementsOf(root)].filter((element) => element.name === name);
}

export function textOf(element: Element): string {
    return element.children.map((child) => (typeof child === 'string' ? child : textOf(child))).join('');
}

/** The element with an id. */
export function byId(root: Element, id: string): Element {
    const found = [...elementsOf(root)].filter(({ attributes }) => attributes.get('id') === id);
    assert.equal(found.length, 1, `there is one element with the id ${id}`);
    const [element] = found;
    assert.ok(element);
    return element;
}

/** The rows of the tables with this caption, as the texts of their cells; without the heading. */
export function tableRows(root: Element, caption: string): string[][] {
    return findAll(root, 'table')
        .filter((table) => findAll(table, 'caption').map(textOf).join() === caption)
        .flatMap((table) => findAll(table, 'tbody'))
        .flatMap((body) => findAll(body, 'tr'))
        .map((row) => row.children.filter((child) => typeof child !== 'string').map(textOf));
}
