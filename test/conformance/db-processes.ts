/** Several processes on one database. */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { testImage, testUuid } from '../support/images';
import type { Subject } from './db';
import type { ChildReply, ChildRequest } from './db-child';

async function ask(child: ChildProcess, request: ChildRequest): Promise<ChildReply> {
    child.send(request);
    const [reply] = (await once(child, 'message')) as [ChildReply];
    return reply;
}

export function describeProcesses(subject: Subject): void {
    describe('several processes', () => {
        let child: ChildProcess;

        beforeEach(async () => {
            const { module, place } = subject.fixture.opener;
            child = fork(path.join(__dirname, 'db-child.js'), [module, place], { execArgv: [] });
            await once(child, 'message');
        });

        afterEach(async () => {
            const ended = once(child, 'exit');
            child.disconnect();
            await ended;
        });

        it('see what the others have written at their next read', async () => {
            const { images } = subject.database;
            const before = images.generation();
            assert.deepEqual(await ask(child, { get: testUuid(1) }), {});
            const reply = await ask(child, { put: [testImage(1, { name: 'of-the-child' })] });
            const found = await images.get(testUuid(1));
            assert.equal(found?.raw.name, 'of-the-child');
            assert.deepEqual(reply, { etags: [found.etag] });
            if (before !== undefined) {
                assert.notEqual(images.generation(), before);
            }
            await images.commit({ put: [{ raw: testImage(1, { name: 'of-the-parent' }) }] });
            assert.deepEqual(await ask(child, { get: testUuid(1) }), { name: 'of-the-parent' });
        });

        it('write at the same time without losing anything', async () => {
            const { images } = subject.database;
            const theirs = ask(child, { put: Array.from({ length: 100 }, (_, n) => testImage(n)) });
            await Promise.all(
                Array.from({ length: 100 }, (_, n) => images.commit({ put: [{ raw: testImage(1000 + n) }] })),
            );
            await theirs;
            assert.deepEqual(await images.countByState(), { active: 200 });
        });
    });
}
