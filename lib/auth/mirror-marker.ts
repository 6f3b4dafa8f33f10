/** What a mirror of key files knows about itself: where its files come from, and in which version they are here. */

/** Its name in the folder of the mirror. */
export const MARKER = '.source.json';

/**
 * Beside it, and never deleted: there was a marker once. Deleting the marker, as an operator does to change the object
 * store, must not bring back keys from before the first mirror.
 */
export const SYNCED = '.synced';

/** An object in one version. */
export interface ObjectPart {
    readonly key: string;
    readonly etag: string;
}

export interface MirroredFile {
    /** The objects whose content it has, in this order. */
    readonly parts: readonly ObjectPart[];
    /** Of its content, in hex. */
    readonly sha256: string;
}

export interface Marker {
    /** `StorageDriver.location`. */
    readonly source: string;
    /** By their names in the folder. */
    readonly files: ReadonlyMap<string, MirroredFile>;
}

export function serializeMarker({ source, files }: Marker): string {
    const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
    return `${JSON.stringify({ source, files: Object.fromEntries(sorted) }, undefined, 4)}\n`;
}

/** Undefined if the text is not that of a marker. */
export function parseMarker(text: string): Marker | undefined {
    try {
        const value: unknown = JSON.parse(text);
        if (!isRecord(value) || typeof value.source !== 'string' || !isRecord(value.files)) {
            return undefined;
        }
        const files = Object.entries(value.files);
        return files.every((entry): entry is [string, MirroredFile] => isMirroredFile(entry[1]))
            ? { source: value.source, files: new Map(files) }
            : undefined;
    } catch {
        return undefined;
    }
}

function isRecord(value: unknown): value is Record<string, unknown> {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isMirroredFile(value: unknown): value is MirroredFile {
    return (
        isRecord(value) &&
        typeof value.sha256 === 'string' &&
        Array.isArray(value.parts) &&
        value.parts.every(
            (part) => isRecord(part) && typeof part.key === 'string' && typeof part.etag === 'string',
        )
    );
}
