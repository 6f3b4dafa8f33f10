/**
 * The same records and random queries for both drivers: equal answers, whatever make of bucket, age of rows or locale
 * PostgreSQL has. DB_QUERIES=20000 asks for longer.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { MorayConfig } from '../../lib/config/types';
import type { Database, ImageQuery, StoredImage } from '../../lib/db/driver';
import { normalizeRaw } from '../../lib/images/serialize';
import type { RawImage } from '../../lib/manifest';
import { seeded } from '../support/images';
import { localDatabase } from '../support/local-database';
import { morayDatabase } from '../support/moray-database';
import { MorayTables } from '../support/moray-rows';
import { Postgres } from '../support/postgresql';
import { randomImage, randomQuery } from './db-queries';

const QUERIES = Number(process.env.DB_QUERIES ?? 320);
const ROUNDS = 2;
const IMAGES = 150;
const HOUR = 3_600_000;

interface Variant {
    make: (postgres: Postgres) => Promise<MorayConfig>;
    /** How far the reader's clock is ahead, so that all rows are old ones to it. */
    ahead?: number;
}

const VARIANTS: Record<string, Variant> = {
    'a bucket of our own': { make: (postgres) => postgres.makeDatabase() },
    'rows that were written long ago': { make: (postgres) => postgres.makeDatabase(), ahead: HOUR },
    'an old bucket that lacks columns': {
        make: async (postgres) =>
            (await MorayTables.make(postgres, { without: ['published_at', 'expires_at', 'os', 'type'] }))
                .config,
    },
    'columns that are being filled': {
        make: async (postgres) =>
            (
                await MorayTables.make(postgres, {
                    later: true,
                    version: 2,
                    reindexActive: '{"2":["state","tags","activated"]}',
                })
            ).config,
    },
    'a database with another locale': {
        make: async (postgres) => {
            await postgres.sql(
                "CREATE DATABASE other_locale OWNER moray TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'",
                [],
                'postgres',
            );
            return postgres.configOf([postgres], { database: 'other_locale' });
        },
    },
};

const seen = (images: readonly StoredImage[]) =>
    images.map(({ uuid, etag, publishedAt, size, raw }) => ({
        uuid,
        etag,
        publishedAt,
        size,
        raw: normalizeRaw(raw),
    }));

describe('Both database drivers', () => {
    let postgres: Postgres;
    let place: string;
    before(async function () {
        postgres = await Postgres.start(this);
        place = await mkdtemp(path.join(os.tmpdir(), 'imgapi-both-'));
    });
    after(async () => {
        await postgres.stop();
        await rm(place, { recursive: true });
    });

    for (const [number, [name, { make, ahead = 0 }]] of Object.entries(VARIANTS).entries()) {
        it(`answer alike, with ${name}`, async function () {
            this.timeout(10_000 + 100 * QUERIES);
            const random = seeded(Number(process.env.DB_SEED ?? 7) + number);
            const config = await make(postgres);
            const clock = { now: () => Date.now() + ahead, uuid: randomUUID };
            const local = localDatabase(path.join(place, String(number)));
            const writer = morayDatabase(config);
            await Promise.all([local.open(), writer.open()]);
            const write = (change: Parameters<Database['images']['commit']>[0]) =>
                Promise.all([local, writer].map(({ images }) => images.commit(change)));
            try {
                let all: RawImage[] = Array.from({ length: IMAGES }, (_, n) => randomImage(n, random));
                await write({ put: all.map((raw) => ({ raw })) });
                const answers: { query: ImageQuery; mark: string | undefined; images: object[] }[] = [];
                for (let round = 0; round < ROUNDS; round++) {
                    const reader = morayDatabase(config, { clock });
                    try {
                        for (const { query, mark, images } of answers) {
                            const found = await reader.images.queryUnless(query, mark);
                            assert.deepEqual(
                                found === 'unchanged' ? images : seen(found.images),
                                seen(await local.images.query(query)),
                                JSON.stringify(query),
                            );
                        }
                        const share = QUERIES / ROUNDS / Object.keys(VARIANTS).length;
                        for (let n = 0; n < share; n++) {
                            const query = randomQuery(random, all);
                            const found = await reader.images.queryUnless(query, undefined);
                            assert.ok(found !== 'unchanged');
                            const { mark } = found;
                            const images = seen(found.images);
                            assert.deepEqual(
                                images,
                                seen(await local.images.query(query)),
                                JSON.stringify(query),
                            );
                            answers.push({ query, mark, images });
                        }
                        assert.deepEqual(
                            await reader.images.countByState(),
                            await local.images.countByState(),
                        );
                        const origin = { first: 3, ...(round > 0 && { channel: 'dev' }) };
                        const uuid = all.find((raw) => raw.origin)?.origin ?? '';
                        assert.deepEqual(
                            await reader.images.dependents(uuid, origin),
                            await local.images.dependents(uuid, origin),
                        );
                    } finally {
                        await reader.close();
                    }
                    const changed = all
                        .slice(20, 60)
                        .map((raw, n) => ({ ...randomImage(n, random), uuid: raw.uuid }));
                    await write({
                        delete: all.slice(0, 20).map(({ uuid }) => ({ uuid })),
                        put: changed.map((raw) => ({ raw })),
                    });
                    all = [...changed, ...all.slice(60)];
                }
            } finally {
                await Promise.all([local.close(), writer.close()]);
            }
        });
    }
});
