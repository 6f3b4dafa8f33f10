/** What a server shows of its images against what lies in its data folder. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { at, sha1, type Client, type Manifest } from './api';

/** An image as a client sees it, with the hashes of the bytes it can download. */
export interface SeenImage {
    uuid: string;
    name: string;
    file: string | undefined;
    icon: string | undefined;
}

/** All images; proves on the way that every file and icon they speak of can be downloaded and is the one meant. */
export async function seenImages(client: Client): Promise<SeenImage[]> {
    const manifests = (await client.get('/images?state=all')).manifests;
    const seen = await Promise.all(manifests.map((manifest) => seeImage(client, manifest)));
    return seen.sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
}

async function seeImage(client: Client, { uuid, name, files, icon }: Manifest): Promise<SeenImage> {
    const [file] = files;
    if (file) {
        const { status, body } = await client.get(at(uuid, '/file'));
        assert.deepEqual(
            { status, size: body.length, sha1: sha1(body) },
            { status: 200, size: file.size, sha1: file.sha1 },
            `the file of image ${uuid} is the one its record speaks of`,
        );
    }
    const picture = icon === true ? await client.get(at(uuid, '/icon')) : undefined;
    assert.ok(picture === undefined || picture.status === 200, `the icon of image ${uuid} can be downloaded`);
    if (picture) {
        assert.equal(sha1(picture.body), picture.headers.etag, `the icon of image ${uuid} is the one meant`);
    }
    return { uuid, name, file: file?.sha1, icon: picture && sha1(picture.body) };
}

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

/** Paths below the folder, folders ending in `/`; what vanishes while it is looked at is left out. */
async function below(folder: string, prefix = ''): Promise<string[]> {
    const entries = await readdir(join(folder, prefix), { withFileTypes: true }).catch(unlessGone);
    const paths = entries.map(async (entry) => {
        const path = prefix + entry.name;
        return entry.isDirectory() ? [`${path}/`, ...(await below(folder, `${path}/`))] : [path];
    });
    return (await Promise.all(paths)).flat();
}

function unlessGone(err: NodeJS.ErrnoException): never[] {
    assert.equal(err.code, 'ENOENT');
    return [];
}

/**
 * What lies in the folders of objects and archived manifests and belongs to none of these images: unfinished files,
 * objects that no record refers to, folders of images that are not there.
 */
export async function leftovers(dataDir: string, images: readonly SeenImage[]): Promise<string[]> {
    const wanted = new Map<string, number>();
    for (const { uuid, file, icon } of images) {
        const folder = `${uuid.slice(0, 3)}/${uuid}/`;
        wanted.set(`${folder}file0`, file === undefined ? 0 : 1);
        wanted.set(`${folder}icon`, icon === undefined ? 0 : 1);
    }
    const object = new RegExp(`^(.../${UUID}/(?:file0|icon))-${UUID}$`);
    const found = (await below(join(dataDir, 'images'))).filter((path) => {
        const [, kind] = object.exec(path) ?? [];
        const left = wanted.get(kind ?? '') ?? 0;
        wanted.set(kind ?? '', left - 1);
        const isFolder =
            /^...\/$/.test(path) ||
            images.some(
                ({ uuid, file, icon }) =>
                    path === `${uuid.slice(0, 3)}/${uuid}/` && (file ?? icon) !== undefined,
            );
        return !isFolder && path !== 'database-id' && left < 1;
    });
    const archived = new RegExp(`^...(?:/|/${UUID}\\.json)$`);
    const spooled = (await below(join(dataDir, 'archive'))).filter((path) => !archived.test(path));
    return [...found, ...spooled];
}

/** Waits until nothing is left over; how long that took, in ms. @throws AssertionError after `within` ms */
export async function untilClean(
    dataDir: string,
    images: readonly SeenImage[],
    within: number,
): Promise<number> {
    const started = Date.now();
    for (;;) {
        const left = await leftovers(dataDir, images);
        const waited = Date.now() - started;
        if (left.length === 0) {
            return waited;
        }
        assert.ok(waited < within, `still there after ${within} ms: ${left.join(', ')}`);
        await wait(20);
    }
}
