/** The images of the embedded database (storage.md §6, moray.md §2). */
import { ApiError } from '../errors';
import type { Clock } from '../clock';
import { DependencyConflict, EtagConflict } from './driver';
import type { FoundImages, ImageChange, ImageFilter, ImageQuery, ImageStore, StoredImage } from './driver';
import type { Connection } from './local-connection';
import { Pending } from './local-pending';
import { IMAGE_COLUMNS, Records, toImage } from './local-records';
import { readMeta } from './local-schema';
import type { Reserve } from './reserve';
import { accessPaths, fallbackPath, pathSize, selectPositions, type AccessPath } from './query-sql';

/** Sizes up to which the access paths of a filter are counted, one after the other, to find the shortest. */
const PATH_SIZES = [200, 1000, 5000];
/** The substring path is not in list order, so that its images have to be read and sorted: not more than these. */
const MOST_SORTED = 1000;

const SQL = {
    byIds: `SELECT _id, ${IMAGE_COLUMNS} FROM json_each(?) AS j CROSS JOIN imgapi_images AS i ON i._id = j.value`,
    dependents: 'FROM imgapi_images i INDEXED BY imgapi_images_origin_idx WHERE i.origin = ?',
    inChannel:
        " AND EXISTS (SELECT 1 FROM imgapi_image_elements WHERE attribute = 'channels' AND value = ? " +
        'AND published_at = i.published_at AND _key = i._key)',
    expired:
        `SELECT ${IMAGE_COLUMNS} FROM imgapi_images INDEXED BY imgapi_images_expires_at_idx ` +
        "WHERE expires_at <= ? AND state IN ('creating', 'failed') ORDER BY expires_at, _key LIMIT ?",
    countByState:
        'SELECT state, count(*) FROM imgapi_images INDEXED BY imgapi_images_state_idx ' +
        'WHERE state IS NOT NULL GROUP BY state',
    // The time keeps a database that was put back to an older state from counting through the same numbers again.
    nextGeneration: "UPDATE meta SET value = CAST(max(value + 1, ?) AS INTEGER) WHERE name = 'generation'",
};

function dependentsOf(uuid: string, channel: string | undefined): { where: string; params: string[] } {
    return channel === undefined
        ? { where: SQL.dependents, params: [uuid] }
        : { where: SQL.dependents + SQL.inChannel, params: [uuid, channel] };
}

export class LocalImages implements ImageStore {
    private readonly records: Records;
    private readonly pending: Pending;
    /** The generation as of the last change. */
    private known: number | undefined;

    constructor(
        private readonly connection: Connection,
        private readonly clock: Clock,
        private readonly reserve: Reserve,
    ) {
        this.records = new Records(connection);
        this.pending = new Pending(connection);
    }

    async get(uuid: string): Promise<StoredImage | undefined> {
        return this.connection.read(() => this.records.find(uuid));
    }

    /** Whether anything changed is told by the generation, at less cost than by marks. */
    async queryUnless(query: ImageQuery): Promise<FoundImages> {
        return { images: await this.query(query), mark: undefined };
    }

    async query(query: ImageQuery): Promise<StoredImage[]> {
        if (query.anyOf.length === 0) {
            return [];
        }
        return this.connection.snapshot(() => {
            const paths = query.anyOf.map((filter) => this.shortestPath(filter));
            const { sql, params } = selectPositions(query, paths);
            const ids = this.connection
                .prepare(sql)
                .all(params)
                .map(([, , id]) => id);
            return this.byIds(ids);
        });
    }

    async commit(change: ImageChange): Promise<StoredImage[]> {
        const written = await this.commitWithReserve(change);
        this.reserve.keep(this.clock.now());
        return written;
    }

    /** A change that only deletes may use the room kept in reserve: it is what makes room on a full disk. */
    private async commitWithReserve(change: ImageChange): Promise<StoredImage[]> {
        try {
            return await this.apply(change);
        } catch (error) {
            const isFull = error instanceof ApiError && error.code === 'InsufficientStorage';
            const onlyDeletes = (change.put ?? []).length === 0 && (change.delete ?? []).length > 0;
            if (isFull && onlyDeletes && this.reserve.release(this.clock.now())) {
                return this.apply(change);
            }
            throw error;
        }
    }

    private async apply(change: ImageChange): Promise<StoredImage[]> {
        const { put = [], delete: remove = [], settle = [], drop = [] } = change;
        const { unchanged = [], requires = [], withoutDependents = [] } = change;
        return this.connection.write(() => {
            this.pending.settle(settle);
            for (const { uuid, etag } of unchanged) {
                if (this.records.find(uuid)?.etag !== etag) {
                    throw new EtagConflict(uuid);
                }
            }
            for (const uuid of requires) {
                if (!this.records.find(uuid)) {
                    throw new DependencyConflict(uuid);
                }
            }
            for (const { uuid, channel } of withoutDependents) {
                if (this.countDependents(uuid, channel) > 0) {
                    throw new DependencyConflict(uuid);
                }
            }
            for (const { uuid, etag } of remove) {
                this.records.remove(uuid, etag);
            }
            const mtime = this.clock.now();
            const written = put.map(({ raw, etag }) => this.records.put(raw, etag, mtime));
            this.pending.condemnNew(drop, mtime);
            if (put.length + remove.length > 0) {
                this.changed();
            }
            return written;
        });
    }

    async dependents(
        uuid: string,
        { channel, first }: { channel?: string; first: number },
    ): Promise<{ count: number; uuids: string[] }> {
        return this.connection.snapshot(() => {
            const { where, params } = dependentsOf(uuid, channel);
            const uuids = this.connection
                .prepare(`SELECT i._key ${where} ORDER BY i._key LIMIT ?`)
                .all([...params, first]);
            return { count: this.countDependents(uuid, channel), uuids: uuids.map(([key]) => String(key)) };
        });
    }

    private countDependents(uuid: string, channel: string | undefined): number {
        const { where, params } = dependentsOf(uuid, channel);
        return Number(this.connection.prepare(`SELECT count(*) ${where}`).get(params)?.[0]);
    }

    async expired(now: string, limit: number): Promise<StoredImage[]> {
        return this.connection.read(() =>
            this.connection.prepare(SQL.expired).all([now, limit]).map(toImage),
        );
    }

    async countByState(): Promise<Record<string, number>> {
        const rows = await this.connection.read(() => this.connection.prepare(SQL.countByState).all());
        return Object.fromEntries(rows.map(([state, count]) => [String(state), Number(count)]));
    }

    /** A number that grows with every image commit; read anew only when some process has written anything at all. */
    generation(): number {
        return this.connection.readNow(() => {
            if (this.connection.changed() || this.known === undefined) {
                // Forgotten first: if the counter cannot be read now, the next call tries again.
                this.known = undefined;
                this.known = Number(readMeta(this.connection, 'generation'));
            }
            return this.known;
        });
    }

    /** Tells every process that images have changed; inside the transaction that changes them. */
    changed(): void {
        this.connection.prepare(SQL.nextGeneration).run([this.clock.now()]);
        // For what is read within the transaction; after it, the index tells.
        this.known = undefined;
    }

    private shortestPath(filter: ImageFilter): AccessPath {
        const paths = accessPaths(filter);
        const fallback = fallbackPath(filter);
        // With no choice there is nothing to measure.
        if (paths.length === 0 || (paths.length === 1 && paths[0]?.via === fallback.via)) {
            return fallback;
        }
        if (paths[0]?.via === 'key') {
            return paths[0];
        }
        for (const most of PATH_SIZES) {
            const sizes = paths
                .filter((path) => path.via !== 'text' || most <= MOST_SORTED)
                .map((path) => ({ path, size: this.pathSize(path, most) }))
                .sort((a, b) => a.size - b.size);
            const [shortest] = sizes;
            if (shortest && shortest.size < most) {
                return shortest.path;
            }
        }
        return fallback;
    }

    private pathSize(path: AccessPath, most: number): number {
        const { sql, params } = pathSize(path, most);
        return Number(this.connection.prepare(sql).get(params)?.[0]);
    }

    private byIds(ids: readonly unknown[]): StoredImage[] {
        const found = new Map(
            this.connection
                .prepare(SQL.byIds)
                .all([JSON.stringify(ids)])
                .map(([id = null, ...columns]) => [id, toImage(columns)]),
        );
        return ids.map((id) => found.get(id as number)).filter((image) => image !== undefined);
    }
}
