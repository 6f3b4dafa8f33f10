/** Folders of key files on a real disk (auth.md §5): whatever lies there, and whatever happens to it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, open, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setInterval } from 'node:timers/promises';
import { promisify } from 'node:util';
import { FolderKeys } from '../../lib/auth/folder-keys';
import { putFile } from '../support/key-places';
import { fingerprint, OpenKeys } from '../support/open-keys';
import { testKeys } from '../support/registry';

const run = promisify(execFile);

describe('Folders of key files', () => {
    const [one, two] = testKeys();
    const ONE = fingerprint(one.publicLine);
    const TWO = fingerprint(two.publicLine);
    let root: string;
    let folder: string;
    let opened: OpenKeys;

    const has = (user: string, ...keys: string[]) => {
        return (users: Record<string, string[]>) => users[user]?.join() === keys.join();
    };
    const gone = (user: string) => {
        return (users: Record<string, string[]>) => users[user] === undefined;
    };
    const start = async (): Promise<void> => {
        opened = await OpenKeys.on((log) => new FolderKeys({ folder, log }));
    };
    const file = (user: string): string => join(folder, `${user}.keys`);
    /** Points a symlink elsewhere, at once. */
    const relink = async (target: string, path: string): Promise<void> => {
        await symlink(target, `${path}.new`);
        await rename(`${path}.new`, path);
    };
    /** Makes the folder a symlink, so that all that is in it can be replaced at once. */
    const swappable = async (): Promise<void> => {
        await rename(folder, join(root, 'first'));
        await symlink('first', folder);
    };

    beforeEach(async () => {
        root = await mkdtemp(join(tmpdir(), 'imgapi-keys-'));
        folder = join(root, 'keys');
        await mkdir(folder);
    });
    afterEach(async () => {
        await opened.source.close();
        await rm(root, { recursive: true });
    });

    describe('a file that cannot be read keeps its keys, with one warning', () => {
        const unreadable: [string, (path: string) => Promise<unknown>, RegExp][] = [
            ['a folder', (path) => mkdir(path), /folder/],
            ['a symlink to itself', (path) => symlink('alice.keys', path), /ELOOP/],
            ['a symlink to a device', (path) => symlink('/dev/null', path), /regular/],
            ['a named pipe', (path) => run('mkfifo', [path]), /regular/],
        ];
        for (const [what, make, reason] of unreadable) {
            it(what, async () => {
                await swappable();
                await writeFile(file('alice'), one.publicLine);
                await writeFile(file('bob'), one.publicLine);
                await start();
                const next = join(root, 'next');
                await mkdir(next);
                await make(join(next, 'alice.keys'));
                await writeFile(join(next, 'bob.keys'), two.publicLine);
                await relink('next', folder);
                await opened.until(has('bob', TWO));
                assert.deepEqual(opened.users(), { alice: [ONE], bob: [TWO] });
                await opened.source.reload();
                await opened.source.reload();
                const [warning, ...more] = opened.warnings;
                assert.deepEqual(more, []);
                assert.equal(warning?.record.file, file('alice'));
                assert.match(warning.text, reason);

                await rm(file('alice'), { recursive: true });
                await opened.until(gone('alice'));
            });
        }
    });

    it('a symlink that leads nowhere is no file', async () => {
        const target = join(root, 'alice');
        await writeFile(target, one.publicLine);
        await symlink(target, file('alice'));
        await start();
        assert.deepEqual(opened.users(), { alice: [ONE] });
        await rm(target);
        await opened.until(gone('alice'));
        await writeFile(target, two.publicLine);
        await opened.until(has('alice', TWO));
    });

    it('a folder that cannot be read keeps the keys of all, with one warning', async () => {
        await swappable();
        await writeFile(file('alice'), one.publicLine);
        await writeFile(file('bob'), two.publicLine);
        await start();
        await relink('keys', folder);
        await opened.source.reload();
        await opened.source.reload();
        assert.deepEqual(opened.users(), { alice: [ONE], bob: [TWO] });
        assert.equal(opened.warnings.length, 1);
        assert.equal(opened.warnings[0]?.record.folder, folder);
        await rm(folder);
        await opened.until((users) => Object.keys(users).length === 0);
    });

    it('where a file is in the place of the folder, there are no keys', async () => {
        await rm(folder, { recursive: true });
        await writeFile(folder, one.publicLine);
        await start();
        assert.deepEqual(opened.users(), {});
        assert.deepEqual(opened.warnings, []);
    });

    it('names ten bad lines of a file, and tells how many more there are', async () => {
        await writeFile(file('alice'), `${'no key\n'.repeat(1234)}${one.publicLine}`);
        await start();
        assert.deepEqual(opened.users(), { alice: [ONE] });
        assert.equal(opened.warnings.length, 11);
        assert.equal(opened.warnings[10]?.record.lines, 1224);
    });

    describe('are watched', () => {
        it('when they are made, with the folders above', async () => {
            folder = join(root, 'etc', 'keys', 'local');
            await start();
            await mkdir(folder, { recursive: true });
            await writeFile(file('alice'), one.publicLine);
            await opened.until(has('alice', ONE));
            await rm(file('alice'));
            await opened.until(gone('alice'));
        });

        it('when they are removed and made again, over and over', async () => {
            await start();
            for (let round = 0; round < 3; round++) {
                await writeFile(file('alice'), one.publicLine);
                await opened.until(has('alice', ONE));
                await rm(folder, { recursive: true });
                await mkdir(folder);
                await writeFile(file('alice'), two.publicLine);
                await opened.until(has('alice', TWO));
                await writeFile(file('alice'), one.publicLine);
                await opened.until(has('alice', ONE));
                await rm(folder, { recursive: true });
                await opened.until(gone('alice'));
                await mkdir(folder);
            }
        });

        it('when a file is written bit by bit, replaced, renamed, cut and appended to', async () => {
            await start();
            const handle = await open(file('alice'), 'w');
            for (const letter of `${one.publicLine}\n`) {
                await handle.write(letter);
            }
            await opened.until(has('alice', ONE));
            await handle.close();
            await putFile(file('alice'), two.publicLine);
            await opened.until(has('alice', TWO));
            await appendFile(file('alice'), `\n${one.publicLine}`);
            await opened.until(has('alice', TWO, ONE));
            await rename(file('alice'), file('bob'));
            await opened.until((users) => has('bob', TWO, ONE)(users) && gone('alice')(users));
            await writeFile(file('bob'), '');
            await opened.until(({ bob }) => bob?.length === 0);
        });

        it('when other files do not come to rest', async () => {
            await start();
            const over = new AbortController();
            const restless = (async () => {
                for await (const time of setInterval(10, undefined, { signal: over.signal })) {
                    await writeFile(file('restless'), `# ${String(time)}`);
                }
            })();
            await writeFile(file('alice'), one.publicLine);
            await opened.until(has('alice', ONE));
            await rm(file('alice'));
            await opened.until(gone('alice'));
            over.abort();
            await assert.rejects(restless, { name: 'AbortError' });
        });

        it('when they are symlinks, and what these lead to changes', async () => {
            const target = join(root, 'target');
            const other = join(root, 'other');
            await writeFile(target, one.publicLine);
            await writeFile(other, two.publicLine);
            await symlink(target, file('alice'));
            await start();
            await writeFile(target, two.publicLine);
            await opened.until(has('alice', TWO));
            await putFile(target, one.publicLine);
            await opened.until(has('alice', ONE));
            await writeFile(target, two.publicLine);
            await opened.until(has('alice', TWO));
            await writeFile(target, one.publicLine);
            await opened.until(has('alice', ONE));

            await relink(other, file('alice'));
            await opened.until(has('alice', TWO));
            await writeFile(other, one.publicLine);
            await opened.until(has('alice', ONE));
        });

        it('when what they lead through is swapped', async () => {
            for (const [version, line] of Object.entries({ v1: one.publicLine, v2: two.publicLine })) {
                await mkdir(join(root, version));
                await writeFile(join(root, version, 'alice.keys'), line);
            }
            const current = join(root, 'current');
            await symlink('v1', current);
            await symlink('../current/alice.keys', file('alice'));
            await start();
            assert.deepEqual(opened.users(), { alice: [ONE] });
            await relink('v2', current);
            await opened.until(has('alice', TWO));
            await relink('v1', current);
            await opened.until(has('alice', ONE));
        });

        it('when the folder is a symlink that is swapped', async () => {
            for (const [version, line] of Object.entries({ v1: one.publicLine, v2: two.publicLine })) {
                await mkdir(join(root, version));
                await writeFile(join(root, version, 'alice.keys'), line);
            }
            await rm(folder, { recursive: true });
            await symlink('v1', folder);
            await start();
            await relink('v2', folder);
            await opened.until(has('alice', TWO));
            await writeFile(join(root, 'v2', 'alice.keys'), one.publicLine);
            await opened.until(has('alice', ONE));
        });
    });

    it('do not keep a process alive', async () => {
        await writeFile(file('alice'), one.publicLine);
        await start();
        const script = `
            const { FolderKeys } = require(${JSON.stringify(require.resolve('../../lib/auth/folder-keys'))});
            const log = require('bunyan').createLogger({ name: 'test', level: 'fatal' });
            const source = new FolderKeys({ folder: process.argv[1], log });
            source.open(() => undefined).then(() => console.log([...source.keys.keys()].join()));`;
        const { stdout } = await run(process.execPath, ['-e', script, folder]);
        assert.equal(stdout, 'alice\n');
    });
});
