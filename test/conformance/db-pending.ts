/** The life of pending objects. */
import assert from 'node:assert/strict';
import { PendingObjectLost, type PendingObject } from '../../lib/db/driver';
import { testImage, testUuid } from '../support/images';
import type { Subject } from './db';

function object(n: number): PendingObject {
    return { id: testUuid(n), image: testUuid(1), storage: 'local', key: `images/aaa/file0-${n}` };
}

export function describePending(subject: Subject): void {
    const pending = () => subject.database.pending;
    const ids = (objects: readonly PendingObject[]) => objects.map(({ id }) => id).sort();

    describe('pending objects', () => {
        it('are settled by the change that refers to them, and are then gone', async () => {
            await pending().add(object(1), 100);
            assert.equal(await pending().has('local', object(1).key), true);
            assert.equal(await pending().has('manta', object(1).key), false);
            await subject.database.images.commit({ put: [{ raw: testImage(1) }], settle: [object(1).id] });
            assert.equal(await pending().has('local', object(1).key), false);
            assert.deepEqual(await pending().condemn(1000, 10), []);
        });

        it('cannot be settled once condemned, and the change does not happen', async () => {
            await pending().add(object(1), 100);
            assert.deepEqual(await pending().condemn(100, 10), [object(1)]);
            await assert.rejects(
                subject.database.images.commit({ put: [{ raw: testImage(1) }], settle: [object(1).id] }),
                (error) => error instanceof PendingObjectLost && error.id === object(1).id,
            );
            assert.equal(await subject.database.images.get(testUuid(1)), undefined);
        });

        it('cannot be settled twice, nor when unknown', async () => {
            await pending().add(object(1), 100);
            await subject.database.images.commit({ settle: [object(1).id] });
            await assert.rejects(
                subject.database.images.commit({ settle: [object(1).id] }),
                PendingObjectLost,
            );
        });

        it('live on with a beat; the silent ones are condemned', async () => {
            await pending().add(object(1), 100);
            await pending().add(object(2), 100);
            assert.deepEqual(await pending().beat([object(1).id], 200), []);
            assert.equal(await pending().oldestBeat(), 100);
            assert.deepEqual(await pending().condemn(150, 10), [object(2)]);
            assert.equal(await pending().oldestBeat(), 200);
            assert.deepEqual(await pending().beat([object(1).id, object(2).id, testUuid(8)], 300), [
                object(2).id,
                testUuid(8),
            ]);
        });

        it('are given again and again while condemned, until they are removed', async () => {
            await pending().add(object(1), 100);
            await pending().add(object(2), 100);
            await pending().add(object(3), 900);
            assert.equal((await pending().condemn(100, 1)).length, 1);
            assert.deepEqual(ids(await pending().condemn(100, 10)), [object(1).id, object(2).id]);
            await pending().remove([object(1).id]);
            assert.deepEqual(ids(await pending().condemn(100, 10)), [object(2).id]);
            assert.equal(await pending().has('local', object(2).key), true);
        });

        it('can be abandoned by their own process at any age', async () => {
            await pending().add(object(1), 900);
            await pending().abandon([object(1).id]);
            assert.deepEqual(await pending().condemn(0, 10), [object(1)]);
            assert.equal(await pending().oldestBeat(), undefined);
        });

        it('that a change drops are condemned at once', async () => {
            await subject.database.images.commit({ put: [{ raw: testImage(1) }], drop: [object(4)] });
            assert.deepEqual(await pending().condemn(0, 10), [object(4)]);
        });
    });
}
