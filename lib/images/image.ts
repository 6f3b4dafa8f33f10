import type { Mode } from '../config/types';
import type { StoredImage } from '../db/driver';
import type { FieldError } from '../errors';
import type { RawImage } from '../manifest';
import { rawBoolean } from '../manifest';
import { normalizeRaw, renderImage, serializeImage, type Rendered } from './serialize';
import { profileFor, validateImage } from './validate';

/** Which of the served forms of a manifest is meant (manifest.md §5). */
export interface Form {
    /** Accept-Version covers version 2. */
    channels: boolean;
    adminFields: boolean;
}

/** What decides how records are judged and shown. */
export interface Rules {
    mode: Mode;
    /** Names of the configured channels; undefined if the server has none. */
    channels: readonly string[] | undefined;
}

/** Indentation of served JSON. */
const MARGIN = '  ';

/**
 * One version of an image: its record, judged once, and its served forms, made once each and kept as bytes.
 *
 * Immutable but for what it remembers, so that it may be shared by requests.
 */
export class Image {
    readonly uuid: string;
    /** Names this version for optimistic writes. */
    readonly version: string;
    readonly #stored: StoredImage;
    readonly #rules: Rules;
    readonly #rendered = new Map<number, Rendered>();
    readonly #items = new Map<number, Buffer>();
    #raw: RawImage | undefined;
    #faults: readonly FieldError[] | undefined;

    constructor(stored: StoredImage, rules: Rules) {
        this.uuid = stored.uuid;
        this.version = stored.etag;
        this.#stored = stored;
        this.#rules = rules;
    }

    /** The record, with what old ones lack filled in (manifest.md §3). */
    get raw(): RawImage {
        return (this.#raw ??= normalizeRaw(this.#stored.raw));
    }

    /** Whether the record meets the rules of this server; one that does not is not shown to anybody. */
    get valid(): boolean {
        return this.faults.length === 0;
    }

    /** In what the record breaks those rules. */
    get faults(): readonly FieldError[] {
        return (this.#faults ??= validateImage(this.raw, profileFor(this.#rules, this.raw.state)));
    }

    get activated(): boolean {
        return rawBoolean(this.raw.activated);
    }

    /** Bytes of memory that this version and its served forms take, roughly. */
    get weight(): number {
        return 8 * this.#stored.size + 1024;
    }

    isVersion(stored: StoredImage): boolean {
        return this.version === stored.etag && this.#stored.mtime === stored.mtime;
    }

    /** The manifest as GetImage sends it, with its ETag. */
    render(form: Form): Rendered {
        const key = Number(form.channels) + 2 * Number(form.adminFields);
        let rendered = this.#rendered.get(key);
        if (!rendered) {
            rendered = renderImage(this.raw, { mode: this.#rules.mode, ...form });
            this.#rendered.set(key, rendered);
        }
        return rendered;
    }

    /** The ETags under which a client may know this version: without and with admin fields (QUIRK-C). */
    etags(channels: boolean): string[] {
        return [false, true].map((adminFields) => this.render({ channels, adminFields }).etag);
    }

    /** The manifest as an element of a list: one level deeper than on its own. */
    listItem(form: Form): Buffer {
        const key = Number(form.channels) + 2 * Number(form.adminFields);
        let item = this.#items.get(key);
        if (!item) {
            const manifest = serializeImage(this.raw, { mode: this.#rules.mode, ...form });
            const text = JSON.stringify(manifest, null, MARGIN);
            item = Buffer.from(MARGIN + text.replaceAll('\n', `\n${MARGIN}`));
            this.#items.set(key, item);
        }
        return item;
    }
}
