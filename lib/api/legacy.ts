/** Paths of the time when images were datasets: all lead to where the images are (endpoints.md §3 Legacy). */
import { isUuid } from '../manifest';
import type { Call } from './call';

function redirect(call: Call, location: string): void {
    call.sendEmpty(301, { Location: location, 'Content-Length': 0 });
}

/** Where the images are that were listed under these conditions. */
function imagesWith(conditions: Record<string, string>): string {
    const query = Object.entries(conditions).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    return `/images?${query.join('&')}`;
}

/** Where the dataset is: by its uuid, its name, `name:version`, or `vendor:os:name[:version]` (the old URN). */
export function datasetLocation(dataset: string): string {
    const parts = dataset.split(':');
    if (isUuid(dataset)) {
        return `/images/${dataset}`;
    }
    const [first = '', second = '', third = '', fourth = ''] = parts;
    switch (parts.length) {
        case 2:
            return imagesWith({ name: first, version: second });
        case 3:
            return imagesWith({ name: third });
        case 4:
            return imagesWith({ name: third, version: fourth });
        default:
            return imagesWith({ name: dataset });
    }
}

export function listDatasets(call: Call): void {
    redirect(call, '/images');
}

export function getDataset(call: Call): void {
    redirect(call, datasetLocation(call.pathParameter));
}
