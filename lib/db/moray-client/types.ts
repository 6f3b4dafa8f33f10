/** What the parts of the Moray client say to each other and to who uses it (moray.md §1, §2). */

import type { ConnectionUsage } from '../driver';

/** Rows by column name, as node-postgres gives them with the type parsers of connections.ts. */
export type Row = Readonly<Record<string, unknown>>;

export interface Answer {
    readonly rows: readonly Row[];
    /** Rows read or changed. */
    readonly count: number;
}

/** One statement. With a name it is prepared once per connection; a name stands for one text for ever. */
export interface Statement {
    readonly text: string;
    readonly values?: readonly unknown[];
    readonly name?: string;
}

/** Where statements can be run: a pool (each on any connection), or one transaction. */
export interface Session {
    /** @throws MorayError */
    query(statement: Statement): Promise<Answer>;
}

export interface TransactionOptions {
    /** By default READ COMMITTED. */
    readonly isolation?: 'READ COMMITTED' | 'REPEATABLE READ';
    readonly readOnly?: boolean;
}

/** Connections to the primary, kept and renewed. */
export interface Connections extends Session {
    /**
     * Runs the work in a transaction on one connection: committed when it resolves, rolled back when it rejects. A
     * transaction that the database ended for the sake of another one (deadlock, serialization) is tried again from the
     * start a few times, so the work may run more than once. One whose COMMIT got no answer is not: it may have
     * happened, which the error says (`outcomeUnknown`).
     */
    transaction<T>(work: (session: Session) => Promise<T>, options?: TransactionOptions): Promise<T>;
    /** Of this process, as far as there are any. */
    readonly usage: ConnectionUsage | undefined;
    /** Resolves once statements under way have ended. Later ones throw NoDatabasePeersError. */
    close(): Promise<void>;
}

export const INDEX_TYPES = [
    'string',
    'number',
    'boolean',
    'uuid',
    'ip',
    'subnet',
    'mac',
    'date',
    'numrange',
    'daterange',
    '[string]',
    '[number]',
    '[boolean]',
    '[date]',
    '[ip]',
    '[mac]',
    '[subnet]',
] as const;
export type IndexType = (typeof INDEX_TYPES)[number];

export interface IndexDefinition {
    readonly type: IndexType;
    readonly unique?: boolean;
}

/** How a bucket is to be made; names in `index` are fields of its objects. */
export interface BucketConfig {
    readonly index?: Readonly<Record<string, IndexDefinition>>;
    /** Sources of JavaScript functions; kept, never run. */
    readonly pre?: readonly string[];
    readonly post?: readonly string[];
    readonly options?: {
        readonly version?: number;
        readonly guaranteeOrder?: boolean;
        readonly syncUpdates?: boolean;
    };
}

/** A bucket as the database has it. */
export interface Bucket {
    readonly name: string;
    readonly index: Readonly<Record<string, IndexDefinition>>;
    readonly pre: readonly string[];
    readonly post: readonly string[];
    readonly options: { readonly version: number; readonly [key: string]: unknown };
    readonly mtime: Date;
    /** Columns that are being filled, by the version that brought them; undefined if none ever were. */
    readonly reindexActive?: Readonly<Record<string, readonly string[]>>;
    /** What its table has, in lower case; it may lack fields of `index` and have others. */
    readonly columns: ReadonlySet<string>;
    /** Ids may stand in the column `_idx`, which is indexed. */
    readonly hasExtendedId: boolean;
    /** The database compares texts by their bytes, as Moray's does. */
    readonly sortsByBytes: boolean;
}

/** The value of an object: what JSON has for objects. */
export type Value = Readonly<Record<string, unknown>>;

/** An object as it is read: the value overlaid with its columns (moray.md §2.1). */
export interface MorayObject {
    readonly bucket: string;
    readonly key: string;
    readonly value: Value;
    readonly _id: number | null;
    readonly _etag: string;
    /** In ms since the epoch. */
    readonly _mtime: number;
    readonly _txn_snap: number | null;
    /** Of a find: how many there are in all, unless it was told not to count. */
    readonly _count?: number;
}

export interface WriteOptions {
    /** A string must be the stored etag, null means there must be no such object, absent writes over anything. */
    readonly etag?: string | null;
}

/** What a write stored. */
export interface Written {
    readonly etag: string;
    /** In ms since the epoch. */
    readonly mtime: number;
    /** The JSON text of the value. */
    readonly text: string;
}

export interface Sort {
    readonly attribute: string;
    readonly order?: 'ASC' | 'asc' | 'DESC' | 'desc';
}

export interface FindOptions {
    /** An index column, or `_id`, `_key`, `_etag`, `_mtime`, `_txn_snap`. Objects without it come last, or first if DESC. */
    readonly sort?: Sort | readonly Sort[];
    /** Whole number from 0 on, also as digits; 1000 if absent, unless `noLimit`. */
    readonly limit?: number | string;
    readonly offset?: number | string;
    readonly noLimit?: boolean;
    /** Leaves `_count` out. */
    readonly no_count?: boolean;
    /** Throws NotIndexedError unless every attribute of the filter has an index that can be used. */
    readonly requireIndexes?: boolean;
}
