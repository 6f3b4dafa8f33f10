import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeFolder, TestServer } from '../support/server';

const PUBLISHED_URL = 'http://127.0.0.1:8080';

/** The shell commands under a heading of README.md. */
function commandsUnder(heading: string): string {
    const page = readFileSync(join(__dirname, '../../README.md'), 'utf8');
    const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
    return /```sh\n([^]*?)```/.exec(section ?? '')?.[1] ?? '';
}

describe('the tour in README.md', () => {
    let server: TestServer;
    let folder: Awaited<ReturnType<typeof makeFolder>>;

    before(async () => {
        folder = await makeFolder();
        server = await TestServer.start();
    });
    after(async () => {
        await server.stop();
        await folder.remove();
    });

    it('goes from creating an image to its file downloaded again', async function () {
        this.timeout(60_000);
        const tour = commandsUnder('A tour');
        assert.ok(
            tour.startsWith(`url=${PUBLISHED_URL}\n`),
            'the tour begins with the URL that npm start prints',
        );
        const script = tour.replaceAll(PUBLISHED_URL, server.url);
        const { stdout } = await promisify(execFile)('bash', ['-c', script], {
            env: { ...process.env, TMPDIR: folder.path },
        });
        assert.ok(stdout.endsWith('copy.gz: OK\n'), stdout);

        const images = (await (await server.fetch('/images')).json()) as { name: string; state: string }[];
        assert.deepEqual(
            images.map(({ name, state }) => ({ name, state })),
            [{ name: 'hello', state: 'active' }],
        );
    });
});
