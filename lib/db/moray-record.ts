/** From rows of the bucket's table to images, and back (moray.md §2.1, §2.4). */
import type { RawImage } from '../manifest';
import type { StoredImage } from './driver';
import { booleanOf, keptText, publishedAt, stringsOf, textOf } from './image-values';
import { fromColumn, toColumn, type ColumnValue } from './moray-client/columns';
import type { Field } from './moray-client/fields';
import { quoted } from './moray-client/names';
import type { Row } from './moray-client/types';
import type { ImagesLayout } from './moray-layout';

/** Which version of a record a row has. */
export interface Version {
    readonly uuid: string;
    readonly etag: string;
    readonly mtime: number;
}

export function versionOf({ _key, _etag, _mtime }: Row): Version {
    // Numbers that JavaScript may not hold come as digits.
    return { uuid: String(_key), etag: String(_etag), mtime: Number(_mtime) };
}

export function isSame(a: Version | undefined, b: Version): boolean {
    return a?.etag === b.etag && a.mtime === b.mtime;
}

/** The columns that {@link readRow} reads. */
export function recordColumns(layout: ImagesLayout): string {
    return ['_key', '_etag', '_mtime', '_value', ...layout.fields.map(({ column }) => quoted(column))].join(
        ', ',
    );
}

/**
 * The image of a row. A text instead says why there is none: the value is not JSON, not an object, or that of another
 * image.
 */
export function readRow(row: Row, layout: ImagesLayout): StoredImage | string {
    const json = String(row._value);
    let value: unknown;
    try {
        value = JSON.parse(json);
    } catch {
        return 'is not JSON';
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        return 'is not a JSON object';
    }
    const raw = overlay(value as Record<string, unknown>, row, layout.fields) as RawImage;
    const version = versionOf(row);
    if (raw.uuid !== version.uuid) {
        return (raw.uuid as unknown) === undefined ? 'has no uuid' : 'is that of another image';
    }
    return imageOf(version, json.length, raw);
}

/** All of them made here, and spelled out, for V8 to see that they are alike: lists have many of them. */
function imageOf({ uuid, etag, mtime }: Version, size: number, raw: RawImage): StoredImage {
    return { uuid, etag, mtime, size, publishedAt: publishedAt(raw), raw };
}

/** An image as it was written with this JSON text. */
export function writtenImage(version: Version, json: string): StoredImage {
    return imageOf(version, json.length, JSON.parse(json) as RawImage);
}

/**
 * The value with what the columns say of it: somebody may have changed columns only. One that says the same as the
 * value in its own way (a boolean that was a string, a character that no column can hold) leaves it as it is.
 */
function overlay(
    value: Record<string, unknown>,
    row: Row,
    fields: readonly Field[],
): Record<string, unknown> {
    let changed: Map<string, unknown> | undefined;
    for (const { name, column, type } of fields) {
        const content = row[column];
        const own = Object.hasOwn(value, name) ? value[name] : undefined;
        if (saysTheSame(type, content, own)) {
            continue;
        }
        changed ??= new Map(Object.entries(value));
        if (content === null || content === undefined) {
            changed.delete(name);
        } else {
            changed.set(name, fromColumn(type, content));
        }
    }
    return changed ? Object.fromEntries(changed) : value;
}

function saysTheSame(type: Field['type'], content: unknown, own: unknown): boolean {
    if (content === null || content === undefined) {
        return own === undefined || own === null;
    }
    if (own === undefined) {
        return false;
    }
    if (Array.isArray(content)) {
        const mine: readonly unknown[] = Array.isArray(own) ? own : [own];
        return (
            mine.length === content.length &&
            mine.every((one, index) => saysTheSame('string', content[index], one))
        );
    }
    if (content === own) {
        return true;
    }
    if (type === 'boolean') {
        return typeof own === 'string' && booleanOf(own) === content;
    }
    // An array is no value of a scalar column: Moray keeps it (moray.md §2.1).
    return typeof own === 'string' ? keptText(own) === content : Array.isArray(own);
}

/** The contents of the index columns for a record, by column; null where it has nothing that fits. */
export function columnContents(raw: RawImage, fields: readonly Field[]): Map<string, ColumnValue> {
    return new Map(fields.map(({ name, column, type }) => [column, contentOf(name, type, raw[name])]));
}

function contentOf(name: string, type: Field['type'], value: unknown): ColumnValue {
    if (value === undefined || value === null) {
        return null;
    }
    switch (type) {
        case 'string':
            return textOf(value);
        case 'boolean':
            return booleanOf(value)?.toString() ?? null;
        case '[string]':
            return stringsOf(value);
        default:
            return toColumn(name, type, value);
    }
}
