/**
 * The `manifests/<uuid>.raw` files of the original server (storage.md §6.1): taking them over, and knowing which.
 *
 * At the first start the whole folder is imported. For each file the database remembers name, mtime and SHA-1, so
 * that a later start notices what the original server wrote after a rollback to it.
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { RawImage } from '../manifest';
import { isUuid } from '../manifest';
import { UniqueConflict } from './driver';
import type { Connection } from './local-connection';
import type { LocalImages } from './local-images';
import { Records } from './local-records';
import { readMeta, writeMeta } from './local-schema';

/** Files read and written to the database in one transaction. */
const BATCH = 500;
/** File names an error message shows. */
const SHOWN = 5;

const SQL = {
    mtimes: 'SELECT name, mtime FROM raw_files',
    sha1: 'SELECT sha1 FROM raw_files WHERE name = ?',
    remember:
        'INSERT INTO raw_files (name, mtime, sha1, imported) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE ' +
        'SET mtime = excluded.mtime, sha1 = excluded.sha1, imported = max(imported, excluded.imported)',
    touch: 'UPDATE raw_files SET mtime = ? WHERE name = ?',
};

/** A file that was left where it is, and why. */
export interface RawFileProblem {
    file: string;
    reason: string;
}

export interface ImportResult {
    /** Records written. */
    imported: number;
    problems: RawFileProblem[];
}

/** There are files the database does not know: the original server has been at work since. */
export class UnseenRawFiles extends Error {
    override readonly name = 'UnseenRawFiles';
    constructor(folder: string, names: readonly string[]) {
        const shown = names.slice(0, SHOWN).join(', ') + (names.length > SHOWN ? ', …' : '');
        super(
            `${folder} has ${names.length} manifest file(s) that are new or changed since the database took the ` +
                `folder over (${shown}). Run "imgapiadm db import --merge" to take them over too, or ` +
                '"imgapiadm db import --ignore" to go on without them.',
        );
    }
}

interface RawFileContent {
    name: string;
    mtime: number;
    sha1: string;
    /** The record, or what is wrong with the file. */
    content: RawImage | string;
}

export class RawFiles {
    private readonly records: Records;

    constructor(
        private readonly connection: Connection,
        private readonly images: LocalImages,
        readonly folder: string,
        private readonly now: () => number,
    ) {
        this.records = new Records(connection);
    }

    /** Whether the first import is still to be done, or was broken off. */
    async isFirstStart(): Promise<boolean> {
        return (await this.connection.read(() => readMeta(this.connection, 'raw_files'))) !== 'taken over';
    }

    /** Imports the whole folder; after a crash, or next to another process, it goes on with what is left. */
    async takeOver(): Promise<ImportResult> {
        const { names, others } = await this.list();
        const result = await this.import(names);
        await this.connection.write(() => writeMeta(this.connection, 'raw_files', 'taken over'));
        const reason = 'its name is not a lower-case uuid followed by ".raw"';
        return {
            ...result,
            problems: [...others.map((name) => ({ file: this.file(name), reason })), ...result.problems],
        };
    }

    /** Names of the files that are new or have another content than the one remembered. */
    async unseen(): Promise<string[]> {
        const { names } = await this.list();
        const rows = await this.connection.read(() => this.connection.prepare(SQL.mtimes).all());
        const known = new Map(rows as [string, number][]);
        const unseen: string[] = [];
        for (const name of names) {
            // Synchronous: a tenth of the time for a large folder, and nothing else runs yet at a start.
            const stats = statSync(this.file(name), { throwIfNoEntry: false });
            if (!stats || known.get(name) === stats.mtimeMs) {
                continue;
            }
            if (!(await this.isTouchedOnly(name))) {
                unseen.push(name);
            }
        }
        return unseen;
    }

    /** Whether a known file has its content still; its new time is then remembered. */
    private async isTouchedOnly(name: string): Promise<boolean> {
        const { sha1, mtime } = await this.read(name);
        return this.connection.write(() => {
            const same = this.connection.prepare(SQL.sha1).get([name])?.[0] === sha1;
            if (same) {
                this.connection.prepare(SQL.touch).run([mtime, name]);
            }
            return same;
        });
    }

    /** Imports these files; where a record was written later than its file, the record stays. */
    async import(names: readonly string[]): Promise<ImportResult> {
        const result: ImportResult = { imported: 0, problems: [] };
        for (let start = 0; start < names.length; start += BATCH) {
            const files = await Promise.all(names.slice(start, start + BATCH).map((name) => this.read(name)));
            const outcomes = await this.connection.write(() => this.importBatch(files));
            result.imported += outcomes.filter((outcome) => outcome.imported).length;
            result.problems.push(
                ...outcomes.flatMap(({ name, reason }) =>
                    reason ? [{ file: this.file(name), reason }] : [],
                ),
            );
        }
        return result;
    }

    /** Remembers these files as they are now, without importing them. */
    async ignore(names: readonly string[]): Promise<void> {
        const files = await Promise.all(names.map((name) => this.read(name)));
        await this.connection.write(() => files.forEach((file) => this.remember(file, false)));
    }

    /** Notes what a file holds; inside a transaction. */
    remember(file: { name: string; mtime: number; sha1: string }, imported: boolean): void {
        this.connection.prepare(SQL.remember).run([file.name, file.mtime, file.sha1, imported ? 1 : 0]);
    }

    file(name: string): string {
        return `${this.folder}${path.sep}${name}`;
    }

    private importBatch(
        files: readonly RawFileContent[],
    ): { name: string; imported: boolean; reason?: string }[] {
        const outcomes = files.map((file) => {
            if (this.connection.prepare(SQL.sha1).get([file.name])?.[0] === file.sha1) {
                return { name: file.name, imported: false };
            }
            const reason =
                typeof file.content === 'string' ? file.content : this.put(file.content, file.mtime);
            this.remember(file, reason === undefined);
            return { name: file.name, imported: reason === undefined, ...(reason && { reason }) };
        });
        if (outcomes.some((outcome) => outcome.imported)) {
            this.images.changed();
        }
        return outcomes;
    }

    /** Writes the record of a file; gives why not, if it has to stay out. */
    private put(raw: RawImage, fileTime: number): string | undefined {
        const stored = this.records.find(raw.uuid);
        if (stored && stored.mtime > fileTime) {
            return 'the database has a later version of the image, which was kept';
        }
        try {
            this.records.put(raw, undefined, this.now());
            return undefined;
        } catch (error) {
            if (error instanceof UniqueConflict) {
                return error.message;
            }
            throw error;
        }
    }

    private async list(): Promise<{ names: string[]; others: string[] }> {
        const all = await readdir(this.folder).catch((error: unknown) => {
            if (isAbsent(error)) {
                return [];
            }
            throw error;
        });
        const isRaw = (name: string) => name.endsWith('.raw') && isUuid(name.slice(0, -'.raw'.length));
        return {
            names: all.filter(isRaw).sort(),
            others: all.filter((name) => !isRaw(name)).sort(),
        };
    }

    private async read(name: string): Promise<RawFileContent> {
        const file = this.file(name);
        const { mtimeMs: mtime } = await stat(file);
        let bytes: Buffer;
        try {
            bytes = await readFile(file);
        } catch (error) {
            return { name, mtime, sha1: '', content: `it cannot be read: ${messageOf(error)}` };
        }
        const sha1 = createHash('sha1').update(bytes).digest('hex');
        return { name, mtime, sha1, content: parseRaw(bytes, name.slice(0, -'.raw'.length)) };
    }
}

function parseRaw(bytes: Buffer, uuid: string): RawImage | string {
    let value: unknown;
    try {
        value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    } catch (error) {
        return `it is not JSON in UTF-8: ${messageOf(error)}`;
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        return 'it does not hold a JSON object';
    }
    const given = (value as Partial<RawImage>).uuid;
    return given === uuid
        ? (value as RawImage)
        : `its "uuid" is ${JSON.stringify(given)}, not the one of its name`;
}

function messageOf(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}

function isAbsent(error: unknown): boolean {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
