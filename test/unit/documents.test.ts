/** What documents speak of is there: files, headings, programs, codes, messages. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { errorTable } from '../../lib/errors';

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

/** The source of the server, with texts that are put together there in one piece. */
function messages(): string {
    const modules = readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => join('lib', name));
    return ['main.ts', ...modules]
        .map((name) => readFileSync(join(ROOT, name), 'utf8'))
        .join('\n')
        .replace(/['`]\s*\+\s*['`]/g, '');
}

/** In docs/troubleshooting.md, but said by others (proxies, clients, Node.js), or put together of several texts. */
const NOT_IN_ONE_PIECE = [
    'No server is available to handle this request.',
    'SSL certificate problem: self-signed certificate',
    'unable to verify the first certificate',
    'in JSON at position',
    "ENOENT: no such file or directory, open '",
    'invalid IMGAPI config: config.',
    'config.authType is "none" while config.address is',
];
/** What stands for something else in a message there, and what is none: a request or a command. */
const PLACES = /…:?|KEY|\(E[A-Z]+\)\.|\/images\/abc |\d+ bytes instead of \d+\.|^(?:GET|systemctl) .*/;

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

    it('know the statuses of errors', () => {
        const wrong = PAGES.filter((file) => !/\/(?:changelog|decisions)\//.test(file)).flatMap((file) =>
            [...readFileSync(file, 'utf8').matchAll(/\b([1-5]\d\d) `([A-Z]\w+)`/g)]
                .filter(([, status, code = '']) => {
                    const table: Record<string, { status: number } | undefined> = errorTable;
                    return table[code]?.status !== Number(status);
                })
                .map(([text]) => `${relative(ROOT, file)}: ${text}`),
        );
        assert.deepEqual(wrong, []);
    });

    it('look for nothing in answers and logs that the server does not say', () => {
        const source = messages();
        const page = prose(join(ROOT, 'docs/troubleshooting.md'));
        const symptoms = [...page.matchAll(/^\| (.*?) \|/gm)].map(([, cell = '']) => cell);
        const said = symptoms.flatMap((cell) =>
            [...cell.matchAll(/`([^`]* [^`]*)`/g)].map(([, text = '']) => text),
        );
        assert.ok(said.length > 40, String(said.length));
        const unsaid = said
            .flatMap((text) => text.split(PLACES))
            .map((part) => part.trim())
            .filter((part) => part.length >= 8 && !source.includes(part) && !NOT_IN_ONE_PIECE.includes(part));
        assert.deepEqual(unsaid, []);
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
