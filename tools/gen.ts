/** `npm run gen`: writes docs/reference/ anew from the route table and the error table; a test holds the pages to them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { endpointsMarkdown } from '../lib/reference/markdown-endpoints';
import { errorsMarkdown } from '../lib/reference/markdown-errors';
import { openApi } from '../lib/reference/openapi';
import { routes } from '../lib/routes';
import { VERSION } from '../lib/version';

/** The generated files, by their path in the repository. */
export function generatedFiles(): Map<string, string> {
    const subject = { routes, version: VERSION };
    return new Map([
        ['docs/reference/errors.md', errorsMarkdown(subject)],
        ['docs/reference/endpoints.md', endpointsMarkdown(subject)],
        ['docs/reference/openapi.json', `${JSON.stringify(openApi(subject), null, 2)}\n`],
    ]);
}

if (require.main === module) {
    const root = resolve(__dirname, '..');
    for (const [path, content] of generatedFiles()) {
        const file = join(root, path);
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, content);
        console.log(path);
    }
}
