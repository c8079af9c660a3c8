/* The least that a scan must do: open, read and close every label file and the first kilobyte of its image.
 *
 *     cc -O2 floor.c -o floor && ./floor /tmp/coco118k
 *
 * One thread, file order as the folder gives it, nothing parsed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char buffer[1 << 20];

/* Bytes read from one file, at most `limit`; a file that cannot be opened ends the measurement. */
static long read_file(const char *path, size_t limit) {
    long total = 0;
    ssize_t n;
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    do {
        n = read(fd, buffer, limit);
        if (n > 0) total += n;
    } while (limit == sizeof buffer && n == (ssize_t)limit);
    close(fd);
    return total;
}

int main(int argc, char **argv) {
    static const char *splits[] = {"train", "val"};
    char image[4096], label[4096];
    long files = 0, bytes = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: floor DATASET\n");
        return 2;
    }
    for (int s = 0; s < 2; s++) {
        snprintf(image, sizeof image, "%s/images/%s", argv[1], splits[s]);
        DIR *folder = opendir(image);
        struct dirent *entry;
        if (!folder) {
            perror(image);
            return 1;
        }
        while ((entry = readdir(folder))) {
            char *ending = strrchr(entry->d_name, '.');
            if (!ending || strcmp(ending, ".jpg")) continue;
            snprintf(image, sizeof image, "%s/images/%s/%s", argv[1], splits[s], entry->d_name);
            *ending = 0;
            snprintf(label, sizeof label, "%s/labels/%s/%s.txt", argv[1], splits[s], entry->d_name);
            bytes += read_file(label, sizeof buffer);
            bytes += read_file(image, 1024);
            files++;
        }
        closedir(folder);
    }
    printf("%ld pairs, %ld bytes\n", files, bytes);
    return 0;
}
