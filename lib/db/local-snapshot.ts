/** Copies of the embedded database of one moment, taken while servers go on using it. */
import type { RawImage } from '../manifest';
import { openSqlite } from './sqlite';

/** Records read at once. */
const PAGE = 500;
/** How long to wait for a writer, in ms. */
const PATIENCE = 10_000;

/**
 * Writes the database as it is at one moment into a new file. Nobody is held up by it.
 *
 * @param target must not be there
 * @throws Error if the database cannot be read, or the file cannot be written
 */
export function snapshotDatabase(file: string, target: string): void {
    const sqlite = openSqlite(file);
    try {
        sqlite.exec(`PRAGMA busy_timeout = ${PATIENCE}`);
        sqlite.exec(`VACUUM INTO '${target.replaceAll("'", "''")}'`);
    } finally {
        sqlite.close();
    }
}

/** The id of the database that a snapshot is of, which servers know it by. @throws Error if it is none of ours */
export function snapshotId(file: string): string {
    const sqlite = openSqlite(file);
    try {
        const [id] = sqlite.prepare("SELECT value FROM meta WHERE name = 'id'").get() ?? [];
        if (typeof id !== 'string') {
            throw new Error(`${file} is no image database.`);
        }
        return id;
    } finally {
        sqlite.close();
    }
}

/** The records in a snapshot, or in a database that nobody uses, in the order of their uuids. */
export function* snapshotRecords(file: string): Generator<RawImage, void, undefined> {
    const sqlite = openSqlite(file);
    try {
        const page = sqlite.prepare(
            `SELECT _key, _value FROM imgapi_images WHERE _key > ? ORDER BY _key LIMIT ${PAGE}`,
        );
        for (let last = ''; ;) {
            const rows = page.all([last]);
            for (const [, value] of rows) {
                yield JSON.parse(String(value)) as RawImage;
            }
            const end = rows.at(-1);
            if (end === undefined) {
                return;
            }
            last = String(end[0]);
        }
    } finally {
        sqlite.close();
    }
}
