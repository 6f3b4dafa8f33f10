/** `npm run gen`: writes docs/reference/ anew from the route table and the error table; a test holds the pages to them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { endpointsPage } from '../lib/reference/markdown-endpoints';
import { errorsPage } from '../lib/reference/markdown-errors';
import { openApi } from '../lib/reference/openapi';

/** The generated files, by their path in the repository. */
export function generatedFiles(): Map<string, string> {
    return new Map([
        ['docs/reference/errors.md', errorsPage()],
        ['docs/reference/endpoints.md', endpointsPage()],
        ['docs/reference/openapi.json', `${JSON.stringify(openApi(), null, 2)}\n`],
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
