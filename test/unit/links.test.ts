/** What documents link to is there: files, and headings in them. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const ROOT = resolve(__dirname, '../..');

function pagesIn(folder: string): string[] {
    return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.md'))
        .map((name) => join(ROOT, folder, name));
}

const PAGES = [
    ...['README.md', 'CONTRIBUTING.md'].map((name) => join(ROOT, name)),
    ...['docs', 'deps', 'bench', 'changelog'].flatMap(pagesIn),
];

/** Without what is code: it only looks like links and headings. */
function prose(file: string): string {
    return readFileSync(file, 'utf8').replace(/^```[^]*?^```/gm, '');
}

/** The names by which a page's headings can be linked to, as GitHub makes them. */
function anchorsOf(file: string): Set<string> {
    const anchors = new Set<string>();
    for (const [, heading = ''] of prose(file).matchAll(/^#+ (.*)$/gm)) {
        const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
        const name = plain.replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-');
        let [anchor, number] = [name, 0];
        while (anchors.has(anchor)) {
            number += 1;
            anchor = `${name}-${number}`;
        }
        anchors.add(anchor);
    }
    return anchors;
}

/** Links within the repository, with what they lead to. */
function linksOf(file: string): { link: string; target: string; anchor: string }[] {
    const text = prose(file).replace(/`[^`\n]*`/g, '');
    return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
        .map(([, link = '']) => link)
        .filter((link) => !/^[a-z]+:/.test(link))
        .map((link) => {
            const [path = '', anchor = ''] = link.split('#');
            return { link, target: path === '' ? file : join(dirname(file), path), anchor };
        });
}

describe('the documents', () => {
    it('link to nothing that is not there', () => {
        const broken = PAGES.flatMap((file) =>
            linksOf(file)
                .filter(
                    ({ target, anchor }) =>
                        !existsSync(target) || (anchor !== '' && !anchorsOf(target).has(anchor)),
                )
                .map(({ link }) => `${relative(ROOT, file)}: ${link}`),
        );
        assert.deepEqual(broken, []);
    });

    it('name every program in the operator guide', () => {
        const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: object };
        const guide = readFileSync(join(ROOT, 'docs/operator-guide.md'), 'utf8');
        const untold = Object.keys(bin).filter((name) => !guide.includes(`\`${name}\``));
        assert.deepEqual(untold, []);
    });

    it('are all to be found from docs/README.md', () => {
        const seen = new Set<string>();
        const next = [join(ROOT, 'docs/README.md')];
        for (let file = next.pop(); file !== undefined; file = next.pop()) {
            if (!seen.has(file)) {
                seen.add(file);
                next.push(...linksOf(file).flatMap(({ target }) => (target.endsWith('.md') ? [target] : [])));
            }
        }
        const lost = pagesIn('docs').filter((file) => !seen.has(file));
        assert.deepEqual(
            lost.map((file) => relative(ROOT, file)),
            [],
        );
    });
});
