/** Bytes that become objects of an image. */
import type { Clock } from '../clock';
import type { RawImage, StorageType } from '../manifest';
import { changeImage, type Subject } from './change';
import type { Image } from './image';
import type { Images } from './images';
import type { ReceivedObject } from './objects';

/** Bytes for an image, and what is asked of them. */
export interface IncomingObject {
    readonly kind: 'file0' | 'file1' | 'icon';
    readonly storage: StorageType;
    readonly contentType: string;
    readonly source: AsyncIterable<Uint8Array>;
    readonly signal: AbortSignal;
    /** Throws when the bytes so far are too many. */
    readonly checkSize: (size: number) => void;
    /** Throws unless the bytes are the ones expected. */
    readonly check: (received: { size: number; sha1: string }) => void;
}

/** The fields that every stored object has in the record. */
export interface StoredFields {
    sha1: string;
    size: number;
    contentMD5: string;
    mtime: string;
    stor: StorageType;
    object: string;
}

export interface Attachment {
    /** Opens the bytes of each object, one after the other. */
    readonly incoming: readonly (() => Promise<IncomingObject>)[];
    /** The record's objects that the new ones take the place of. */
    readonly replaces: { files: boolean; icon: boolean };
    /** The record with the new objects; throws what forbids it on the newest version. */
    readonly attach: (current: Image, stored: readonly StoredFields[]) => RawImage;
}

/**
 * Stores bytes as new objects of an image and makes its record refer to them, all in one step; the objects they replace
 * are deleted. On any failure the record and its former objects are as they were.
 */
export async function attachObjects(
    { images, clock }: { images: Images; clock: Clock },
    subject: Subject,
    { incoming, replaces, attach }: Attachment,
): Promise<Image> {
    const receiveFrom = async (index: number, received: readonly ReceivedObject[]): Promise<Image> => {
        const open = incoming[index];
        if (!open) {
            return save(received);
        }
        const { check, ...object } = await open();
        return images.objects.receive({ ...object, image: subject.uuid }, check, (next) =>
            receiveFrom(index + 1, [...received, next]),
        );
    };
    const save = async (received: readonly ReceivedObject[]): Promise<Image> => {
        const mtime = new Date(clock.now()).toISOString();
        const stored = received.map(({ sha1, size, contentMD5, storage, object }) => ({
            sha1,
            size,
            contentMD5,
            mtime,
            stor: storage,
            object,
        }));
        // What was known before the bytes came is old by now.
        const { uuid, reload } = subject;
        return changeImage(images, { uuid, known: await reload(), reload }, (current) =>
            images.save(current, attach(current, stored), {
                settle: received.map(({ id }) => id),
                drop: images.objects.referredBy(current.raw, replaces),
            }),
        );
    };
    return receiveFrom(0, []);
}

/** Does something with a signal that ends with it: what was opened under it and not read to its end is let go. */
export async function within<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ended = new AbortController();
    try {
        return await work(AbortSignal.any([signal, ended.signal]));
    } finally {
        ended.abort();
    }
}

/** The one object of an attachment of one. */
export function only(stored: readonly StoredFields[]): StoredFields {
    const [object] = stored;
    if (!object) {
        throw new TypeError('An object was attached that was not stored.');
    }
    return object;
}
