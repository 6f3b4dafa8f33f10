/** change-stor: the file of an image goes into another storage (storage.md §4). */
import type Logger from 'bunyan';
import { ApiError } from '../errors';
import type { RawFile, StorageType } from '../manifest';
import { imageKey, type StorageSet } from '../storage/driver';
import { within } from './attach';
import { changeImage, type Subject } from './change';
import { damagedFile, isOtherBytes } from './damaged';
import type { Image } from './image';
import type { Images } from './images';
import type { ReceivedObject } from './objects';

/** How often a file is copied that was replaced by another while it was. */
const ATTEMPTS = 5;

export interface Relocation {
    readonly to: StorageType;
    /** The file to move; throws what forbids it on this version of the image. */
    readonly fileOf: (image: Image) => RawFile;
    readonly signal: AbortSignal;
}

interface RelocationParts {
    readonly images: Images;
    readonly storages: StorageSet;
    readonly log: Logger;
}

/** The image has another file than the one that was copied, or has it elsewhere. */
class FileReplaced extends Error {
    override readonly name = 'FileReplaced';
}

/** The stored bytes are not those of the record that was read. The message completes "it …". */
class Damage extends Error {
    override readonly name = 'Damage';
}

/** Other bytes came than were stored once: the storage has others, or they were changed on their way. */
class OtherBytes extends Damage {}

function isSame(one: RawFile, other: RawFile): boolean {
    return one.stor === other.stor && one.object === other.object && one.sha1 === other.sha1;
}

/**
 * Moves the one file of an image: copies it as a new object into the other storage, makes the record refer to that, and
 * deletes the former object. The record decides at every moment which of the two is the file, and whatever fails, what
 * it refers to is there. A file that is in that storage already stays as it is.
 *
 * Nobody waits for the copy. Whoever changes the image meanwhile is not undone: the newest version is judged again, and
 * a file that took the place of the copied one is copied anew. So is, once, one of which other bytes came.
 *
 * @throws ApiError InternalError if the stored bytes are not those of the record, and what `fileOf` and `reload` throw
 */
export async function relocateFile(
    parts: RelocationParts,
    subject: Subject,
    relocation: Relocation,
): Promise<Image> {
    const { to, fileOf, signal } = relocation;
    let image = subject.known ?? (await subject.reload());
    let isDoubted = false;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
        const file = fileOf(image);
        if (file.stor === to) {
            return image;
        }
        try {
            return await within(signal, (ended) =>
                copyAndSwitch(parts, subject, { ...relocation, signal: ended }, file),
            );
        } catch (err) {
            signal.throwIfAborted();
            // It may have failed because the file was replaced or deleted. Then the newest version has the answer.
            image = await subject.reload();
            if (isSame(fileOf(image), file)) {
                if (err instanceof OtherBytes && !isDoubted && attempt < ATTEMPTS) {
                    isDoubted = true;
                    continue;
                }
                throw err instanceof Damage
                    ? damagedFile(parts.log, image.uuid, file, err.message, err.cause)
                    : err;
            }
        }
    }
    throw new ApiError(
        'ServiceUnavailableError',
        `The file of image ${subject.uuid} is being replaced by other requests again and again; try again.`,
    );
}

async function copyAndSwitch(
    { images, storages }: RelocationParts,
    { uuid, reload }: Subject,
    { to, fileOf, signal }: Relocation,
    file: RawFile,
): Promise<Image> {
    const { size, sha1, contentMD5 } = file;
    const source = await storages.get(file.stor).read(imageKey(uuid, file.object ?? 'file0'), { signal });
    if (!source) {
        throw new Damage('is missing');
    }
    if (source.info.size !== size) {
        throw new Damage(`has ${source.info.size} bytes instead of ${size}`);
    }
    const switchTo = async (received: ReceivedObject): Promise<Image> =>
        // What was known before the bytes were copied is old by now.
        changeImage(images, { uuid, known: await reload(), reload }, (current) => {
            const { files = [] } = current.raw;
            if (!isSame(fileOf(current), file)) {
                throw new FileReplaced(`The file of image ${uuid} was replaced while it was copied.`);
            }
            const moved = files.map((one) => ({ ...one, stor: to, object: received.object }));
            return images.saveUnserved(
                current,
                { ...current.raw, files: moved },
                {
                    settle: [received.id],
                    drop: images.objects.referredBy(current.raw, { files: true, icon: false }),
                },
            );
        });
    const incoming = {
        image: uuid,
        kind: 'file0',
        storage: to,
        contentType: 'application/octet-stream',
        source: source.body,
        size,
        ...(contentMD5 !== undefined && { contentMD5 }),
        checkSize: () => undefined,
        signal,
    } as const;
    const check = (received: { sha1: string }): void => {
        if (received.sha1 !== sha1) {
            throw new OtherBytes(`has the SHA-1 ${received.sha1} instead of ${sha1}`);
        }
    };
    try {
        return await images.objects.receive(incoming, check, switchTo);
    } catch (err) {
        throw isOtherBytes(err) ? new OtherBytes('is damaged', { cause: err }) : err;
    }
}
