/**
 * Writing the database back as the original server's files, for a rollback to it (storage.md §6.1, §7).
 *
 * To be run while no server uses the database: a running one could change images, or sweep objects away, meanwhile.
 */
import { createHash, randomUUID } from 'node:crypto';
import { copyFile, link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { RawImage } from '../manifest';
import { imageFolder, imageKey } from '../storage/driver';
import { isKeySegment } from '../storage/key';
import type { StoredImage } from './driver';
import type { Connection } from './local-connection';
import { IMAGE_COLUMNS, toImage } from './local-records';
import type { RawFileProblem, RawFiles } from './raw-files';

/** Images read at a time. */
const BATCH = 200;

const SQL = {
    page: `SELECT ${IMAGE_COLUMNS} FROM imgapi_images WHERE _key > ? ORDER BY _key LIMIT ?`,
    gone:
        'SELECT name, mtime FROM raw_files WHERE imported = 1 AND NOT EXISTS ' +
        "(SELECT 1 FROM imgapi_images WHERE _key || '.raw' = raw_files.name)",
    forget: 'DELETE FROM raw_files WHERE name = ?',
    keepObject: "DELETE FROM pending_objects WHERE storage = 'local' AND key = ? AND condemned = 1",
};

export interface ExportResult {
    /** `.raw` files written. */
    written: number;
    /** Stored objects put under the name the original server expects. */
    linked: number;
    /** `.raw` files of images that exist no more. */
    removed: number;
    /** What the original server will not find. */
    problems: RawFileProblem[];
}

interface ObjectName {
    /** The name the original server looks for. */
    plain: string;
    object: string;
    stor: string;
}

/** Writes every image's `.raw` file into the folder of `files`, and its stored objects back to their plain names. */
export async function exportRawFiles(
    connection: Connection,
    files: RawFiles,
    dataDir: string,
): Promise<ExportResult> {
    const result: ExportResult = { written: 0, linked: 0, removed: 0, problems: [] };
    await mkdir(files.folder, { recursive: true });
    let last = '';
    for (;;) {
        const images = await connection.read(() =>
            connection.prepare(SQL.page).all([last, BATCH]).map(toImage),
        );
        for (const image of images) {
            await exportObjects(connection, image, dataDir, result);
            const written = await writeRawFile(files, image);
            await connection.write(() => files.remember(written, true));
            result.written += 1;
            last = image.uuid;
        }
        if (images.length < BATCH) {
            break;
        }
    }
    await removeGone(connection, files, result);
    await syncFolder(files.folder);
    return result;
}

/** The record as the original server knows it: without the names of objects. */
function exportedRaw(raw: RawImage): RawImage {
    const copy = structuredClone(raw);
    for (const stored of [...(copy.files ?? []), ...(copy.icon ? [copy.icon] : [])]) {
        delete stored.object;
    }
    return copy;
}

async function writeRawFile(
    files: RawFiles,
    image: StoredImage,
): Promise<{ name: string; mtime: number; sha1: string }> {
    const name = `${image.uuid}.raw`;
    const text = JSON.stringify(exportedRaw(image.raw), null, 2);
    // One fixed name: what a crash leaves behind, the next export replaces.
    const temporary = files.file(`${name}.new`);
    const handle = await open(temporary, 'w');
    try {
        await handle.writeFile(text);
        await handle.sync();
    } finally {
        await handle.close();
    }
    await rename(temporary, files.file(name));
    const { mtimeMs } = await stat(files.file(name));
    return { name, mtime: mtimeMs, sha1: createHash('sha1').update(text).digest('hex') };
}

/** The stored objects that do not have the name the original server looks for. */
function renamedObjects({ files, icon }: RawImage): ObjectName[] {
    const stored = (files ?? []).map((file, index) => ({ plain: `file${index}`, ...file }));
    const all = [...stored, { plain: 'icon', ...icon }];
    return all.flatMap(({ plain, object = plain, stor = 'local' }) =>
        object === plain ? [] : [{ plain, object, stor }],
    );
}

async function exportObjects(
    connection: Connection,
    { uuid, raw }: StoredImage,
    dataDir: string,
    result: ExportResult,
): Promise<void> {
    const folder = path.join(dataDir, imageFolder(uuid));
    let linked = 0;
    for (const { plain, object, stor } of renamedObjects(raw)) {
        const file = path.join(folder, plain);
        if (stor !== 'local') {
            const reason = `its bytes are in ${stor} storage under the name ${object}, where the original server does not look`;
            result.problems.push({ file, reason });
        } else if (!isKeySegment(object)) {
            result.problems.push({
                file,
                reason: `the record names the object "${object}", which cannot be a file`,
            });
        } else {
            const reason = await putInPlace(path.join(folder, object), file);
            if (reason === undefined) {
                // The plain name may have been given up earlier; a sweep must not delete it now.
                await connection.write(() => connection.prepare(SQL.keepObject).run([imageKey(uuid, plain)]));
                linked += 1;
            } else {
                result.problems.push({ file, reason });
            }
        }
    }
    if (linked > 0) {
        await syncFolder(folder);
    }
    result.linked += linked;
}

/** Makes `to` the same file as `from`, or a copy where links are not possible; gives why not, if that fails. */
async function putInPlace(from: string, to: string): Promise<string | undefined> {
    const temporary = `${to}.${randomUUID()}`;
    try {
        const [source, target] = await Promise.all([stat(from), stat(to).catch(() => undefined)]);
        if (target?.ino === source.ino && target.dev === source.dev) {
            return undefined;
        }
        await link(from, temporary).catch(() => copyDurably(from, temporary));
        await rename(temporary, to);
        return undefined;
    } catch (error) {
        await rm(temporary, { force: true });
        return `${path.basename(from)} cannot be linked to it: ${error instanceof Error ? error.message : String(error)}`;
    }
}

async function copyDurably(from: string, to: string): Promise<void> {
    await copyFile(from, to);
    const handle = await open(to, 'r+');
    try {
        await handle.sync();
    } finally {
        await handle.close();
    }
}

/** Removes the files of images that were deleted since they were imported, or the original would bring them back. */
async function removeGone(connection: Connection, files: RawFiles, result: ExportResult): Promise<void> {
    const gone = await connection.read(() => connection.prepare(SQL.gone).all());
    for (const [name] of gone) {
        await rm(files.file(String(name)), { force: true });
        await connection.write(() => connection.prepare(SQL.forget).run([String(name)]));
        result.removed += 1;
    }
}

async function syncFolder(folder: string): Promise<void> {
    const handle = await open(folder, 'r');
    try {
        await handle.sync();
    } finally {
        await handle.close();
    }
}
