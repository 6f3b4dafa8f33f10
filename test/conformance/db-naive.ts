/** Image queries answered by looking at every record: what the drivers are compared with. */
import type { ImageFilter, ImageQuery } from '../../lib/db/driver';
import type { RawImage } from '../../lib/manifest';

function list(value: string | string[] | undefined): string[] {
    return typeof value === 'string' ? [value] : (value ?? []);
}

function matches(raw: RawImage, filter: ImageFilter): boolean {
    const text = (wanted: { is: string } | { contains: string } | undefined, value: string) =>
        !wanted || ('is' in wanted ? value === wanted.is : value.includes(wanted.contains));
    const same = (wanted: string | boolean | undefined, value: string | boolean | undefined) =>
        wanted === undefined || String(wanted) === String(value);
    const tags = list(raw.tags);
    return (
        same(filter.uuid, raw.uuid) &&
        same(filter.owner, raw.owner) &&
        same(filter.state, raw.state) &&
        same(filter.os, raw.os) &&
        same(filter.origin, raw.origin) &&
        (!filter.type ||
            ('is' in filter.type ? raw.type === filter.type.is : raw.type !== filter.type.not)) &&
        text(filter.name, raw.name) &&
        text(filter.version, raw.version) &&
        same(filter.activated, raw.activated) &&
        same(filter.disabled, raw.disabled) &&
        same(filter.public, raw.public) &&
        (filter.acl === undefined || list(raw.acl).includes(filter.acl)) &&
        (filter.channel === undefined || list(raw.channels).includes(filter.channel)) &&
        (filter.billingTags ?? []).every((tag) => list(raw.billing_tags).includes(tag)) &&
        (filter.tags ?? []).every((tag) => tags.includes(tag)) &&
        (filter.tagKeys ?? []).every((key) => tags.some((one) => one.startsWith(`${key}=`)))
    );
}

function compare(a: string, b: string): number {
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** The uuids that a driver must answer the query with. */
export function naiveQuery(images: readonly RawImage[], query: ImageQuery): string[] {
    const sign = query.order === 'asc' ? 1 : -1;
    const time = (raw: RawImage) => raw.published_at ?? '';
    const { marker, after } = query;
    return images
        .filter((raw) => query.anyOf.some((filter) => matches(raw, filter)))
        .filter((raw) => {
            if (!marker) {
                return true;
            }
            const place =
                sign * (compare(time(raw), marker.publishedAt) || compare(raw.uuid, marker.uuid ?? raw.uuid));
            return time(raw) !== '' && place >= 0;
        })
        .filter(
            (raw) =>
                !after || sign * (compare(time(raw), after.publishedAt) || compare(raw.uuid, after.uuid)) > 0,
        )
        .sort((a, b) => sign * (compare(time(a), time(b)) || compare(a.uuid, b.uuid)))
        .slice(0, query.limit)
        .map((raw) => raw.uuid);
}
