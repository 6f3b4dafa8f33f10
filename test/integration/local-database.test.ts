/** What is special about the embedded database: its file, its disk, its locks. */
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Connection } from '../../lib/db/local-connection';
import { networkFilesystem } from '../../lib/db/local-filesystem';
import { LocalImages } from '../../lib/db/local-images';
import { SchemaTooNew } from '../../lib/db/local-schema';
import { Reserve } from '../../lib/db/reserve';
import { ApiError, type ErrorCode } from '../../lib/errors';
import { testImage, testUuid } from '../support/images';
import { localDatabase, open } from '../support/local-database';

describe('the embedded database', () => {
    let place: string;
    let file: string;

    beforeEach(async () => {
        place = await mkdtemp(path.join(os.tmpdir(), 'imgapi-local-'));
        file = path.join(place, 'db', 'imgapi.db');
    });
    afterEach(() => rm(place, { recursive: true }));

    const isCode = (code: ErrorCode) => (error: unknown) => {
        assert.ok(error instanceof ApiError, String(error));
        assert.equal(error.code, code);
        assert.ok(error.cause);
        return true;
    };

    it('leaves everything as it was when the disk is full during a commit', async () => {
        const database = await open(place);
        await database.images.commit({ put: [{ raw: testImage(1) }] });
        const connection = await Connection.open(file);
        const images = new LocalImages(
            connection,
            { now: () => 5, uuid: () => testUuid(9) },
            new Reserve(path.join(place, 'reserve')),
        );
        connection.exec('PRAGMA max_page_count = 1');
        const big = { raw: testImage(2, { description: 'x'.repeat(1e6) }) };
        await assert.rejects(
            images.commit({ delete: [{ uuid: testUuid(1) }], put: [big] }),
            isCode('InsufficientStorage'),
        );
        assert.ok(await images.get(testUuid(1)));
        connection.exec('PRAGMA max_page_count = 1000000');
        await images.commit({ put: [big] });
        assert.equal((await database.images.get(testUuid(2)))?.raw.description?.length, 1e6);
        connection.close();
        await database.close();
    });

    it('never gives a generation again, not even after it was put back to an older state', async () => {
        const commit = async (n: number) => {
            const database = await open(place);
            await database.images.commit({ put: [{ raw: testImage(n) }] });
            const generation = database.images.generation();
            await database.close();
            return generation;
        };
        const older = await commit(1);
        await cp(path.dirname(file), path.join(place, 'copy'), { recursive: true });
        const lost = await commit(2);
        await rm(path.dirname(file), { recursive: true });
        await cp(path.join(place, 'copy'), path.dirname(file), { recursive: true });
        const database = await open(place);
        assert.equal(database.images.generation(), older);
        await database.close();
        assert.ok(![older, lost].includes(await commit(3)));
    });

    it('waits for a lock that another process holds, without blocking the event loop', async () => {
        const database = await open(place);
        const other = await Connection.open(file);
        other.exec('BEGIN IMMEDIATE');
        const commit = database.images.commit({ put: [{ raw: testImage(1) }] });
        assert.deepEqual(await database.images.query({ anyOf: [{}], order: 'asc', limit: 1 }), []);
        other.exec('COMMIT');
        await commit;
        assert.ok(await database.images.get(testUuid(1)));
        other.close();
        await database.close();
    });

    it('is unavailable when a lock is not given back in time', async function () {
        this.timeout(15_000);
        const database = await open(place);
        const other = await Connection.open(file);
        other.exec('BEGIN IMMEDIATE');
        await assert.rejects(
            database.images.commit({ put: [{ raw: testImage(1) }] }),
            isCode('ServiceUnavailableError'),
        );
        other.exec('ROLLBACK');
        await database.images.commit({ put: [{ raw: testImage(1) }] });
        other.close();
        await database.close();
    });

    it('refuses a file of a newer schema by its number', async () => {
        await (await open(place)).close();
        const connection = await Connection.open(file);
        connection.exec('PRAGMA user_version = 99');
        connection.close();
        await assert.rejects(
            open(place),
            (error) => error instanceof SchemaTooNew && error.message.includes('99'),
        );
    });

    it('brings a file of the first schema, which had no jobs, up to date', async () => {
        const first = await open(place);
        await first.images.commit({ put: [{ raw: testImage(1) }] });
        await first.close();
        const connection = await Connection.open(file);
        connection.exec('DROP TABLE jobs');
        connection.exec(
            'CREATE TABLE jobs (uuid TEXT PRIMARY KEY, execution TEXT); ' +
                'CREATE INDEX jobs_execution_idx ON jobs (execution);',
        );
        connection.exec('PRAGMA user_version = 1');
        connection.close();
        for (let start = 1; start <= 2; start++) {
            const database = await open(place);
            assert.deepEqual((await database.images.get(testUuid(1)))?.raw, testImage(1));
            assert.deepEqual(await database.jobs.due(0, { limit: 1 }), []);
            await database.close();
        }
    });

    it('is unavailable when its file is no database or its folder cannot be made', async () => {
        await mkdir(path.join(place, 'db'));
        await writeFile(file, 'This is not a database. '.repeat(200));
        await assert.rejects(open(place), isCode('ServiceUnavailableError'));
        const blocked = localDatabase(place, { databaseDir: path.join(file, 'below-a-file') });
        await assert.rejects(blocked.open(), isCode('ServiceUnavailableError'));
    });

    it('keeps its id and its images over a restart', async () => {
        const first = await open(place);
        await first.images.commit({ put: [{ raw: testImage(1) }] });
        const { id } = first;
        await first.close();
        const second = await open(place);
        assert.equal(second.id, id);
        assert.deepEqual((await second.images.get(testUuid(1)))?.raw, testImage(1));
        await second.close();
    });

    it('knows network file systems by their number', () => {
        assert.equal(networkFilesystem(0x6969), 'NFS');
        assert.equal(networkFilesystem(0xff534d42), 'CIFS');
        assert.equal(networkFilesystem(0xff534d42 | 0), 'CIFS');
        assert.equal(networkFilesystem(0xef53), undefined);
    });
});
