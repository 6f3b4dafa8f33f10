/** Reading and writing single image records, inside a transaction of the caller's. */
import type { RawImage } from '../manifest';
import { EtagConflict, ImageNotFound, UniqueConflict, type StoredImage } from './driver';
import { morayEtag } from './etag';
import { publishedAt } from './image-values';
import { columnValues, elements, VALUE_COLUMNS, type ImageElement } from './local-columns';
import type { Connection } from './local-connection';
import type { SqlRow, SqlValue } from './sqlite';

/** The columns {@link toImage} reads, in its order. */
export const IMAGE_COLUMNS = '_key, _etag, _mtime, _value';

const PUT_COLUMNS = ['_key', '_etag', '_mtime', ...VALUE_COLUMNS, '_value'];

const SQL = {
    find: `SELECT ${IMAGE_COLUMNS} FROM imgapi_images WHERE _key = ?`,
    id: 'SELECT _id FROM imgapi_images WHERE _key = ?',
    findByUrn: 'SELECT 1 FROM imgapi_images WHERE urn = ? AND _key <> ?',
    insert: `INSERT INTO imgapi_images (${PUT_COLUMNS.join(', ')}) VALUES (${PUT_COLUMNS.map(() => '?').join(', ')})`,
    updateAll: `UPDATE imgapi_images SET ${PUT_COLUMNS.map((column) => `${column} = ?`).join(', ')} WHERE _key = ?`,
    // SQLite rewrites the index rows of every column that is set, changed or not.
    updateValue: 'UPDATE imgapi_images SET _etag = ?, _mtime = ?, _value = ? WHERE _key = ?',
    remove: 'DELETE FROM imgapi_images WHERE _key = ?',
    addTexts: 'INSERT INTO imgapi_image_texts (rowid, name, version) VALUES (?, ?, ?)',
    // A table without content is told what to remove.
    removeTexts:
        "INSERT INTO imgapi_image_texts (imgapi_image_texts, rowid, name, version) VALUES ('delete', ?, ?, ?)",
    addElement:
        'INSERT INTO imgapi_image_elements (attribute, value, published_at, _key) VALUES (?, ?, ?, ?)',
    removeElement:
        'DELETE FROM imgapi_image_elements WHERE attribute = ? AND value = ? AND published_at = ? AND _key = ?',
};

/** An image as a row has it; the record is parsed when first asked for. */
class LocalImage implements StoredImage {
    private parsed: RawImage | undefined;
    readonly size: number;

    constructor(
        readonly uuid: string,
        readonly etag: string,
        readonly mtime: number,
        private readonly json: string,
    ) {
        this.size = json.length;
    }

    get publishedAt(): string {
        return publishedAt(this.raw);
    }

    get raw(): RawImage {
        this.parsed ??= JSON.parse(this.json) as RawImage;
        return this.parsed;
    }
}

export function toImage(row: SqlRow): StoredImage {
    return new LocalImage(String(row[0]), String(row[1]), Number(row[2]), String(row[3]));
}

export class Records {
    constructor(private readonly connection: Connection) {}

    find(uuid: string): StoredImage | undefined {
        const row = this.connection.prepare(SQL.find).get([uuid]);
        return row && toImage(row);
    }

    /**
     * Writes a record with its index columns and elements. `etag` as in ImageChange. Nothing is changed when it throws.
     * @throws EtagConflict, UniqueConflict
     */
    put(raw: RawImage, etag: string | null | undefined, mtime: number): StoredImage {
        const former = this.find(raw.uuid);
        if (etag !== undefined && etag !== (former?.etag ?? null)) {
            throw new EtagConflict(raw.uuid);
        }
        const columns = columnValues(raw);
        const urn = columns[VALUE_COLUMNS.indexOf('urn')] ?? null;
        if (urn !== null && this.connection.prepare(SQL.findByUrn).get([urn, raw.uuid])) {
            throw new UniqueConflict('urn', String(urn));
        }
        const json = JSON.stringify(raw);
        const image = new LocalImage(raw.uuid, morayEtag(json), mtime, json);
        this.write(image, json, columns, former && columnValues(former.raw));
        this.replaceElements(raw.uuid, former?.raw, raw);
        return image;
    }

    /** @throws ImageNotFound, EtagConflict */
    remove(uuid: string, etag?: string): void {
        const former = this.find(uuid);
        if (!former) {
            throw new ImageNotFound(uuid);
        }
        if (etag !== undefined && etag !== former.etag) {
            throw new EtagConflict(uuid);
        }
        this.removeTexts(uuid, columnValues(former.raw));
        this.connection.prepare(SQL.remove).run([uuid]);
        this.replaceElements(uuid, former.raw, undefined);
    }

    private write(
        image: StoredImage,
        json: string,
        columns: SqlValue[],
        former: SqlValue[] | undefined,
    ): void {
        const { uuid, etag, mtime } = image;
        if (former && columns.every((value, at) => value === former[at])) {
            this.connection.prepare(SQL.updateValue).run([etag, mtime, json, uuid]);
            return;
        }
        const row = [uuid, etag, mtime, ...columns, json];
        if (former) {
            this.removeTexts(uuid, former);
            this.connection.prepare(SQL.updateAll).run([...row, uuid]);
        } else {
            this.connection.prepare(SQL.insert).run(row);
        }
        this.connection.prepare(SQL.addTexts).run([this.id(uuid), ...texts(columns)]);
    }

    private removeTexts(uuid: string, columns: readonly SqlValue[]): void {
        this.connection.prepare(SQL.removeTexts).run([this.id(uuid), ...texts(columns)]);
    }

    private id(uuid: string): SqlValue {
        return this.connection.prepare(SQL.id).get([uuid])?.[0] ?? null;
    }

    /** Changes only the element rows that differ: most writes touch none. */
    private replaceElements(uuid: string, former: RawImage | undefined, next: RawImage | undefined): void {
        const gone = elementRows(former);
        const fresh = elementRows(next);
        for (const [row, { element, time }] of gone) {
            if (!fresh.delete(row)) {
                this.connection
                    .prepare(SQL.removeElement)
                    .run([element.attribute, element.value, time, uuid]);
            }
        }
        for (const { element, time } of fresh.values()) {
            this.connection.prepare(SQL.addElement).run([element.attribute, element.value, time, uuid]);
        }
    }
}

/** The values that the substring index has of an image. */
function texts(columns: readonly SqlValue[]): SqlValue[] {
    return (['name', 'version'] as const).map((column) => columns[VALUE_COLUMNS.indexOf(column)] ?? '');
}

function elementRows(raw: RawImage | undefined): Map<string, { element: ImageElement; time: string }> {
    if (!raw) {
        return new Map();
    }
    const time = publishedAt(raw);
    return new Map(
        elements(raw).map((element) => [
            JSON.stringify([element.attribute, element.value, time]),
            { element, time },
        ]),
    );
}
