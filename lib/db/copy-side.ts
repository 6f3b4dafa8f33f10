/**
 * What copying one database into another needs of each, beside what a {@link Database} does for servers.
 *
 * The copy takes over the id of the database, by which storages know whom their objects belong to. So that no two
 * databases ever think that the same objects are theirs, the former one gets another id and is left with a mark that
 * keeps servers from using it; and so is one that is only half filled yet.
 */
import type { Database, JobStore, PendingObject } from './driver';

export type DatabaseType = Database['type'];

/** What a database says of itself that servers must not use. */
export type CopyMark =
    | { readonly state: 'unfinished'; readonly from: DatabaseType; readonly id: string }
    | {
          readonly state: 'moved';
          readonly to: DatabaseType;
          /** The id that it had. */
          readonly id: string;
          /** When, in ISO form. */
          readonly at: string;
      };

/** Name of the mark among the meta data. */
export const COPY_MARK = 'copy';

export function parseMark(text: string | undefined): CopyMark | undefined {
    return text === undefined ? undefined : (JSON.parse(text) as CopyMark);
}

/** The database is the target of a copy that has not come to its end. */
export class UnfinishedCopy extends Error {
    override readonly name = 'UnfinishedCopy';
    constructor(type: DatabaseType, from: DatabaseType) {
        super(
            `The database of databaseType "${type}" is the target of a copy that has not come to its end: run ` +
                `"imgapiadm db copy --from ${from} --to ${type}" again, or use databaseType "${from}".`,
        );
    }
}

/** The database was copied elsewhere. */
export class DatabaseMoved extends Error {
    override readonly name = 'DatabaseMoved';
    constructor(type: DatabaseType, { to, at }: CopyMark & { state: 'moved' }) {
        super(
            `The database of databaseType "${type}" was copied to databaseType "${to}" at ${at}, and the stored files ` +
                `belong to that one since. To come back, run "imgapiadm db copy --from ${to} --to ${type}"; if that ` +
                `database is lost, run "imgapiadm db reopen ${type}".`,
        );
    }
}

/** @throws UnfinishedCopy, DatabaseMoved */
export function assertInUse(type: DatabaseType, mark: CopyMark | undefined): void {
    if (mark?.state === 'unfinished') {
        throw new UnfinishedCopy(type, mark.from);
    }
    if (mark?.state === 'moved') {
        throw new DatabaseMoved(type, mark);
    }
}

/** The images were changed since their fingerprint was taken. */
export class ChangedMeanwhile extends Error {
    override readonly name = 'ChangedMeanwhile';
    constructor() {
        super('Images were changed while they were compared.');
    }
}

/** What others are at in a database. */
export interface Activity {
    /** Uploads that have been heard of since some time. */
    readonly uploads: number;
    /** Names of leases that somebody holds. */
    readonly leases: readonly string[];
}

export interface CopySide {
    readonly type: DatabaseType;
    /** Where it is, for people. */
    readonly place: string;
    /** Throws until it was opened. */
    readonly database: Database;
    /** Those of the database; undefined if it was opened for reading only and no server has ever used it. */
    readonly jobs: JobStore | undefined;
    /** Whether it has a place for images. Makes nothing. */
    exists(): Promise<boolean>;
    /**
     * Opens it whatever mark it has. `forReading` makes nothing in a database that exists; without it, what is not there
     * is made.
     *
     * @throws Error why it cannot be used
     */
    open(options?: { forReading: boolean }): Promise<void>;
    close(): Promise<void>;
    /** Who has it open as well, for people; undefined if nobody is seen. To be asked before {@link open}. */
    otherUsers(): Promise<string | undefined>;
    /** @param silence how many ms after the last word of an upload it is given up */
    activity(silence: number): Promise<Activity>;
    mark(): Promise<CopyMark | undefined>;
    setMark(mark: CopyMark): Promise<void>;
    readId(): Promise<string>;
    /** How many records there are, readable or not. */
    countImages(): Promise<number>;
    /** All pending objects, live or condemned. */
    pending(): Promise<PendingObject[]>;
    /** When tasks were last done, by name. */
    tasks(): Promise<Map<string, number>>;
    /** The replay memory: values, and when they expire. */
    remembered(): Promise<Map<string, number>>;
    deleteJobs(uuids: readonly string[]): Promise<void>;
    /** Differs once images have been changed. */
    fingerprint(): Promise<string>;
    /**
     * Gives the id away: the database gets a new one, and the mark.
     *
     * @throws ChangedMeanwhile, with nothing done, if the images are not those of the fingerprint any more
     */
    release(mark: CopyMark & { state: 'moved' }, newId: string, fingerprint: string): Promise<void>;
    /** Takes the id, and lets servers use the database. */
    adopt(id: string): Promise<void>;
}
