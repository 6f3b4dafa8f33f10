/** What became of a transaction whose COMMIT got no answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ImageChange, StoredImage } from './driver';
import { isMorayError } from './moray-client/errors';
import type { Connections, Session } from './moray-client/types';
import { IMAGES_TABLE } from './moray-layout';
import { isSame, versionOf, type Version } from './moray-record';

/** How long the database may take to be there again, in ms: another server has to take the place of the lost one. */
const WAIT = 10_000;
const PAUSE = 200;

export interface Attempted {
    readonly change: ImageChange;
    /** What the transaction wrote, in the order of `put`. */
    readonly written: readonly StoredImage[];
    /** The versions that it found, by uuid. */
    readonly former: ReadonlyMap<string, Version>;
}

/** Undoes the look at the outcome; carries what was seen. */
class Seen extends Error {
    constructor(readonly happened: boolean | undefined) {
        super('The look at the outcome of a transaction is over.');
    }
}

/**
 * Whether the transaction was committed; undefined if that cannot be known: the database stays away, or others have
 * changed what it was about.
 */
export async function happened(connections: Connections, attempted: Attempted): Promise<boolean | undefined> {
    const deadline = performance.now() + WAIT;
    for (;;) {
        try {
            return await connections.transaction<never>(async (session) => {
                throw new Seen(await look(session, attempted));
            });
        } catch (error) {
            if (error instanceof Seen) {
                return error.happened;
            }
            const mayPass =
                isMorayError(error, 'NoDatabasePeersError') || isMorayError(error, 'QueryTimeoutError');
            if (!mayPass || performance.now() > deadline) {
                return undefined;
            }
        }
        await sleep(PAUSE);
    }
}

/** Every statement waits for the transaction, should the server still be at work on it. */
async function look(session: Session, { change, written, former }: Attempted): Promise<boolean | undefined> {
    const { settle = [], delete: remove = [] } = change;
    const signs: (boolean | undefined)[] = [];
    if (settle.length > 0) {
        const { rows } = await session.query({
            text: 'SELECT id FROM imgapi_server_pending WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE',
            values: [settle],
        });
        // It takes the rows away, and hardly anybody else can have done so meanwhile.
        signs.push(rows.length === 0);
    }
    const removed = remove.filter(({ uuid }) => !written.some((image) => image.uuid === uuid));
    for (const { uuid } of [...written, ...removed].sort((a, b) => (a.uuid < b.uuid ? -1 : 1))) {
        const now = await current(session, uuid);
        const wanted = written.findLast((image) => image.uuid === uuid);
        const before = former.get(uuid);
        const isWanted = now && wanted ? isSame(wanted, now) : now === wanted;
        const isFormer = now && before ? isSame(before, now) : now === before;
        signs.push(isWanted ? true : isFormer ? false : undefined);
    }
    const told = signs.filter((sign) => sign !== undefined);
    // It changed all or nothing, so one sign is enough; if they contradict each other, others were here.
    return told.every((sign) => sign === told[0]) ? told[0] : undefined;
}

/** The version of a row; what is being inserted is waited for by an attempt to insert the same. */
async function current(session: Session, uuid: string): Promise<Version | undefined> {
    const find = {
        text: `SELECT _key, _etag, _mtime FROM ${IMAGES_TABLE} WHERE _key = $1 FOR UPDATE`,
        values: [uuid],
    };
    const { rows } = await session.query(find);
    if (rows[0]) {
        return versionOf(rows[0]);
    }
    const { count } = await session.query({
        text:
            `INSERT INTO ${IMAGES_TABLE} (_key, _value, _etag, _mtime) VALUES ($1, '{}', '00000000', 0) ` +
            'ON CONFLICT DO NOTHING',
        values: [uuid],
    });
    if (count > 0) {
        return undefined;
    }
    const again = await session.query(find);
    return again.rows[0] && versionOf(again.rows[0]);
}
