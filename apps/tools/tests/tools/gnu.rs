//! Each tool does what its model among the GNU tools does, on the same files.

use crate::common::compare;

#[test]
fn text_is_printed_as_gnu_prints_it() {
    compare(
        "print",
        &[
            "$T/echo; $T/echo a  b 'c  d'; $T/echo -n x; $T/echo -e 'a\\tb\\x41\\0101\\\\'; $T/echo -E 'a\\tb'; $T/echo -ne 'x\\cy'; $T/echo -x -- -n",
            "$T/printf 'a\\n'; $T/printf '%s-%s\\n' a b c; $T/printf '%5d|%-5d|%05d|%+d|% d\\n' 42 42 42 42 42",
            "$T/printf '%x %X %o %#x %#o %u\\n' 255 255 8 255 8 7; $T/printf '%d %d %d\\n' 0x10 010 \"'A\"; $T/printf '%.3d|%8.3d\\n' 5 5",
            "$T/printf '%f %.2f %8.3f %e %g %g %g %G\\n' 1.5 2.345 3.14159 12345.678 0.0001 1e10 123456789 1e-7",
            "$T/printf '%10s|%-10s|%.2s|%c|%b|%%\\n' hello hello hello hello 'a\\tb'; $T/printf '%*d|%-*d|\\n' 5 42 5 42",
            "$T/printf '%q %q\\n' plain 'a b'; $T/printf 'no newline'; $T/printf '%s\\n'; $T/printf '%d\\n' x",
            "yes | head -n 3; yes a b | head -n 2; $T/true; $T/false",
            "cat fruits colons; cat -n fruits unterminated fruits; cat -b fruits; cat -s fruits; cat -A tabs binary latin; cat -E unterminated; cat -T tabs; cat -v latin; cat -sn fruits",
            "cat < fruits; cat - colons < tabs; cat missing fruits; cat dir; cat large zeros | md5sum; cat -n large | md5sum",
            "echo data | tee a b; cat a b; echo more | tee -a a; cat a",
            "seq 5; seq 2 5; seq 1 2 10; seq 10 -3 0; seq 0.5 0.25 2; seq -w 8 12; seq -s, 3; seq -5 -1; seq 5 1; seq -w 0 .5 10; seq 1 0.1 1.5; seq 100000 | md5sum; seq 3 -1 -2",
            "seq; seq x; seq 1 2 3 4; seq 1 0 5",
            "basename /a/b/c; basename a/b/ ; basename / ; basename a.txt .txt; basename .txt .txt; basename -a x/y z/w; basename -s .c a.c b.c; dirname /a/b a a/b/ / //x /x",
        ],
    );
}

#[test]
fn parts_of_files_are_printed_as_gnu_prints_them() {
    compare(
        "parts",
        &[
            "head fruits numbers; head -n 2 numbers; head -3 numbers; head -n -2995 numbers; head -c 5 numbers; head -c -13880 numbers; head -n 0 fruits; head -c 1K zeros | wc -c",
            "cat numbers | head -n 3; cat unterminated | head -n 9; head -n 3 unterminated; head -q -n1 fruits tabs; head -v -n1 fruits; head missing fruits; head -n1 -z binary | wc -c",
            "tail fruits numbers; tail -n 2 numbers; tail -3 numbers; tail -n +2998 numbers; tail -c 5 numbers; tail -c +13885 numbers; tail -n 0 fruits; tail +2999 numbers",
            "cat numbers | tail -n 3; cat unterminated | tail -n 1; tail -n 1 unterminated; cat numbers | tail -n +2998; cat numbers | tail -c 7; cat numbers | tail -c +13890; tail -n 100000 fruits; cat large | tail -n 5; tail -n 19000 large | md5sum; cat large | tail -n 19000 | md5sum; tail -q -n1 fruits tabs; tail -v -n1 fruits; tail empty; tail -n1 empty fruits",
            "cut -d: -f1 colons; cut -d: -f2- colons; cut -d: -f-2 colons; cut -d: -f1,3 colons; cut -s -d: -f1 colons; cut -c1-3 fruits; cut -b2 fruits; cut -f2 tabs; cut -d: -f1,3 --output-delimiter=_ colons; cut --complement -d: -f2 colons; cut -c 1,3-4 --output-delimiter=: fruits; cut -f 1",
            "cut fruits; cut -f0 fruits; cut -f2-1 fruits; cut -c1 missing",
            "tr a-z A-Z < fruits; tr -d '[:digit:]' < fruits; tr -s '\\n' < fruits; tr -c 'a-z\\n' '_' < fruits; tr -cd '[:alpha:]' < fruits; tr abc x < fruits; tr -t abc xy < fruits; tr '\\n' ' ' < fruits; tr -ds a-e '\\n' < fruits; tr '[:upper:]' '[:lower:]' < fruits; tr 'a\\055z' XYZ < fruits; tr 'abcdef' '[x*]y' < fruits; tr -s a-z A-Z < fruits; tr '\\000-\\037' '[?*]' < fruits; tr a < fruits; tr z-a x < fruits",
            "tr -d '\\000' < zeros | wc -c; tr -s '\\000' < zeros | wc -c",
            "wc fruits; wc fruits numbers empty; wc -l < fruits; wc -c fruits; wc -w fruits tabs; wc -m fruits; wc -L fruits large; wc -lw fruits; cat large | wc; wc missing fruits; wc dir fruits; wc -c zeros large; wc binary latin; wc -l unterminated; cat tabs | wc -; cat empty | wc",
        ],
    );
}

#[test]
fn lines_are_sorted_and_compared_as_gnu_does() {
    compare(
        "lines",
        &[
            "sort fruits; sort -r fruits; sort -u fruits; sort -f fruits; sort -n fruits; sort -k2 fruits; sort -k2n fruits; sort -k2,2nr -k1,1 fruits; sort -t: -k2 colons; sort -t: -k3,3r colons; sort -s -k2,2 fruits; sort fruits colons; sort unterminated",
            "sort -n numbers | md5sum; sort numbers | md5sum; sort -rn numbers | md5sum; sort -h sizes; sort -hr sizes; sort -V versions; sort -M months; sort -b -k2 fruits; sort -d fruits; sort -nu fruits; sort -k1.2 fruits; sort -k1.2,1.3 fruits; sort -k 2b,2 fruits; sort -fu fruits; sort -uf months",
            "sort -c fruits; sort -c numbers; sort -C versions; sort -cn numbers; sort -o fruits fruits; cat fruits; sort missing; sort -z binary | md5sum; sort empty; sort -k0 fruits; sort large | md5sum; sort -k3,3 -k1,1nr large | md5sum; sort -t '\t' -k2 tabs",
            "printf '%s\\n' -1 -10 5 0 -0 +3 .5 1.25 1.3 00012 12 1e3 x | sort -n; printf '%s\\n' -1 -10 5 0 .5 1.25 | sort -rn; printf ' b\\n a\\nc\\n  0\\n' | sort; printf ' b\\n a\\nc\\n' | sort -b",
            "uniq fruits; sort fruits | uniq -c; sort fruits | uniq -d; sort fruits | uniq -u; uniq -i fruits; uniq -f1 fruits; uniq -s2 fruits; uniq -w1 fruits; uniq fruits out; cat out; uniq empty; uniq unterminated; uniq missing",
            "cmp fruits fruits; cmp fruits colons; cmp fruits hard; cmp -s fruits colons; cmp numbers large; cmp -l fruits colons; cmp fruits empty; cmp -n 3 fruits fruits; cmp fruits missing; head -c 100000 zeros > z; cmp zeros z; cmp -b fruits colons; cmp -i 2 fruits fruits; cat fruits | cmp fruits; cmp -s missing fruits; head -c 20 numbers | cmp - numbers",
        ],
    );
}

#[test]
fn grep_finds_what_gnu_grep_finds() {
    compare(
        "grep",
        &[
            "grep a fruits; grep -n a fruits; grep -v a fruits; grep -c a fruits colons; grep -i b fruits; grep -l a fruits colons tabs; grep -L a fruits colons tabs; grep -h a fruits colons; grep -H a fruits; grep a fruits colons",
            "grep -q apple fruits; echo $?; grep -q nothing fruits; echo $?; grep x missing; echo $?; grep -s x missing; echo $?; grep -q apple fruits missing; echo $?; grep apple fruits missing; echo $?",
            "grep -o '[a-z]*' fruits; grep -o an fruits; grep -on 'p' fruits; grep -ob 'p' fruits; grep -w foo dir/sub/deep/foo.c; grep -wo 'foo[a-z]*' dir/sub/deep/foo.c; grep -w bar dir/sub/deep/foo.c dir/sub/again.txt; grep -x 'two' unterminated; grep -x 'tw' unterminated",
            "grep 'a\\|e' fruits; grep 'ap*le' fruits; grep 'ap\\+le' fruits; grep 'ap\\?' fruits; grep 'a\\{1,2\\}' fruits; grep '^a' fruits; grep '7$' fruits; grep 'a.p' fruits; grep '\\.' fruits; grep '[0-9]' fruits; grep '[^a-z ]' fruits; grep '[[:upper:]]' fruits; grep 'x*' fruits; grep '^$' fruits; grep '' fruits; grep '\\(an\\)*' fruits; grep '*a' fruits; grep 'a^b' fruits; grep 'b$c' fruits; grep '\\<d' fruits; grep 'e\\>' fruits; grep '[]:]' colons; grep '[a-]' fruits; grep 'a{1}' fruits",
            "grep -E 'a|e' fruits; grep -E 'ap+le' fruits; grep -E '(an){2}' fruits; grep -E '^(apple|date)' fruits; grep -E '[0-9]{2}' fruits; grep -E 'a?b' fruits; grep -E '\\(' fruits; grep -E '^.{5,7}$' fruits; grep -E 'p{2}l' fruits; grep -E '\\bd' fruits; grep -E 'a**' fruits; grep -E '()' fruits | wc -l; grep -E 'a{,2}b' fruits; grep -E 'x{' fruits",
            "grep -F 1.5 fruits; grep -F . fruits; grep -F 'a*' fruits; grep -e apple -e cherry fruits; printf 'apple\\ncherry\\n' > pat; grep -f pat fruits; grep -f empty fruits; grep -F -x 'apple 3' fruits; grep -Fi BANANA fruits; grep 'apple\ncherry' fruits; grep -vf pat fruits",
            "grep -A1 Banana fruits; grep -B1 cherry fruits; grep -C1 cherry fruits; grep -1 7 fruits; grep -A1 apple fruits; grep -n -A1 apple fruits; grep -A2 -B2 e fruits; grep -m1 apple fruits; grep -m 1 -A1 apple fruits; grep -A1 apple fruits colons",
            "grep -r foo dir | sort; grep -rl foo . | sort; grep -rn hello dir | sort; grep -ri hello . | sort; grep -r foo | sort; grep -r --include='*.c' foo . ; grep -r --exclude='*.c' foo dir | sort; grep -r --exclude-dir=deep foo dir | sort; grep -rh foo dir | sort; grep -rc foo dir | sort; grep -d skip foo dir; grep -rL foo dir | sort; grep -R hello linkdir | sort",
            "grep a < fruits; cat fruits | grep -n a -; cat fruits | grep -H a; grep def binary; grep -a def binary | md5sum; grep -c def binary; grep -z def binary | md5sum; grep -o fox large | wc -l; grep -c 99 large; grep -c '^[0-9]*5 .*fox$' large; grep -n 20000 large; grep -I def binary; grep plain binary",
            "grep; grep '[' fruits; grep -E '(' fruits; grep '\\(' fruits; grep -A x a fruits; grep foo dir; grep --color=always an fruits | wc -l; grep -e; grep -y B fruits; grep -ow 'a[a-z]*' dir/sub/again.txt; grep -E -o '[0-9]+(\\.[0-9]+)?' fruits; grep -iw HELLO dir/hello.txt; grep -b a fruits; grep -Z -l a fruits | od -c; grep -m0 a fruits; grep -c a empty; grep -nv a fruits unterminated; grep -lv a fruits; grep -vq apple fruits",
        ],
    );
}

#[test]
fn files_are_listed_as_gnu_lists_them() {
    compare(
        "list",
        &[
            "ls; ls -a; ls -A; ls -1; ls -r; ls -S; ls -t fruits numbers dir/hello.txt; ls -tr fruits numbers dir/hello.txt; ls -d dir; ls -d .; ls dir other; ls fruits dir; ls -R; ls -p; ls -F; ls -m; ls -U | sort; ls link linkdir dangling; ls -R dir; ls -aR dir; ls -i | wc -l; ls -Sr; ls --group-directories-first; ls 'with space'; ls empty",
            "ls -l dir fruits link dangling linkdir; ls -la dir; ls -lh large fruits; ls -ln fruits; ls -lS; ls -lt fruits numbers; ls -ld dir; ls -lR dir; ls -lF dir; ls -lo fruits; ls -lg fruits; ls -lG fruits; ls -lL link; ls -s fruits large; ls -ls fruits; ls -lhS; ls -l fruits; ls -lrt numbers fruits; ls -lp; ls -l empty",
            "ls missing; ls missing fruits; ls -l missing; ls dangling; ls -lL dangling; ls --nonsense",
            "find . | sort; find dir -type f | sort; find . -type l | sort; find . -name '*.txt' | sort; find . -iname 'HELLO*'; find . -maxdepth 1 | sort; find . -mindepth 2 -maxdepth 3 | sort; find . -size +100k | sort; find . -size -2 -type f | sort; find . -size 12c; find . -empty | sort; find dir -path '*sub*' | sort; find . -newer fruits -type f | sort; find . -name '[fn]*' | sort; find . -name '?????' | sort; find . -name '[!a-z]*' | sort; find dir -depth",
            "find . -name '*.txt' -o -name '*.c' | sort; find . \\( -name '*.txt' -o -name '*.c' \\) -print | sort; find . ! -type d -print | sort; find . -name dir -prune -o -type f -print | sort; find dir -type f -exec echo {} \\; | sort; find dir -type f -exec echo X{} \\; | sort; find dir -name '*.txt' -exec cat {} + | sort; find dir -print0 | tr '\\0' '\\n' | sort; find dir fruits -type f | sort; find dir -printf '%f %s %m %d %y %P %h\\n' | sort; find . -perm 600 | sort; find . -perm -111 -type f | sort; find . -perm /111 -type f | sort; find . -links 2 -type f | sort; find . -type f,l -name 'l*' | sort; find . -samefile fruits | sort; find -L linkdir -type f | sort; find linkdir; find linkdir/ -type f | sort; find . -regex '.*/[fh]r*.*' | wc -l",
            "find dir -delete; ls; find . -name '*s' -type f -delete; ls; find missing; find . -badtest; find . -name; find . -maxdepth 0; find . -type f -mtime +300 | sort; find . -mmin -60 -name sizes; find dir -false; find . -quit; find dir -type f -exec false {} \\; -print; find dir -not -name '*.c' | sort; find . -exec",
            "stat -c '%n %s %a %A %F %h %u %g %U %G %Y %y' fruits dir; stat -L -c '%F %s' link; stat -c %N link; stat missing; stat -c '%b %B' fruits; stat --printf '%n\\t%s\\n' fruits; stat -c '%X' fruits; stat; stat -c %f fruits dir link",
            "du -b fruits; du -s dir; du dir | sort; du -a dir | sort; du -h large; du -c fruits large; du -d1 . | sort; du missing; du -sh large; du -k large; du -sm large; du fruits hard",
            "pwd | sed 's/.*folder/folder/'; readlink link dangling; readlink fruits; readlink -f link linkdir/hello.txt missing missing/x | sed 's/.*folder/folder/'; readlink -n link; realpath link dir/../fruits . | sed 's/.*folder/folder/'; realpath -e missing; realpath -m a/b/../c | sed 's/.*folder/folder/'; readlink -e missing; realpath -s link | sed 's/.*folder/folder/'; realpath --relative-to=dir fruits dir/sub; readlink -f / /.. ",
        ],
    );
}

#[test]
fn files_are_copied_moved_and_removed_as_gnu_does() {
    compare(
        "change",
        &[
            "cp fruits copy; cat copy; cp -p fruits keep; stat -c %Y keep; cp dir/script.sh dir/sub/again.txt other; cp dir x; cp -r dir x; cp -r dir x; cp -a dir y; cp link l1; cp -P link l2; cp -d link l3; cp missing x; cp fruits; cp fruits missing/x; cp fruits colons tabs other; cp fruits colons tabs; cp -v fruits z; cp fruits fruits; cp fruits hard; cp -n colons copy; cat copy; cp -t other numbers; cp -T fruits w; cp -T dir other2 ; cp fruits other/; cp fruits nodir/",
            "cp dir/hello.txt dir; cp -l fruits lnk; cp -s fruits sym; cp -r linkdir ld; cp -rL linkdir ldl; cp dangling d; cp -a dangling d2; cp -f fruits colons; cp -u fruits colons; cp -rv dir v | sort; cp -a . ../copyall 2>/dev/null; ls ../copyall | wc -l; rm -rf ../copyall; cp -rp dir p; stat -c '%n %Y %a' p p/hello.txt p/script.sh; cp fruits dir; cp -r dir/. newdir",
            "mv fruits new; mv colons tabs other; mv dir other; mv missing x; mv new other/renamed; mv -v numbers n; mv -n n large; mv empty large; mv other/dir .; mv dir dir/sub; mv link l; mv large dir/; mv sizes versions nothere; mv dir binary; mv binary dir; mv -T dir dd; mv -t dd latin; mv dd/sub/ ./up",
            "rm fruits colons; rm missing; rm -f missing; rm dir; rm -r dir; rm -rf other 'with space'; rm -v tabs; rm link dangling linkdir; rm -d other; rm; rm -f; mkdir e; rm -d e; rm -r .; rm -r ..; rm -rf /; rm -rv numbers; rm -- empty; echo y | rm -i large; echo n | rm -i zeros; touch ./-x; rm -x; rm -- -x; rm binary/",
            "mkdir a; mkdir a; mkdir -p a/b/c; mkdir -p a; mkdir x/y; mkdir -m 700 m; mkdir -v q; mkdir -pv r/s/t; mkdir -p fruits/x; mkdir fruits; rmdir a; rmdir -p a/b/c; rmdir other; rmdir dir; rmdir missing; rmdir -v m; rmdir --ignore-fail-on-non-empty dir; rmdir fruits; mkdir; mkdir -p u/v/; mkdir -p ./k//l",
            "ln fruits h; ln -s fruits s; ln fruits h; ln -f fruits h; ln -sf colons s; readlink s; ln -s fruits; ln -s /x other; ln missing m; ln -s missing m; ln fruits colons other; ln -sr dir/hello.txt other/rel; readlink other/rel; ln -v fruits vv; ln -sv fruits vs; ln -sn dir linkdir; ln -sfn other linkdir; readlink linkdir; ln dir hd; ln -sT fruits st; ln -s -t other tabs; ln",
            "touch new; touch -d '2001-02-03 04:05:06' a; stat -c %Y a; touch -t 200102030405.06 b; stat -c %Y b; touch -r fruits c; stat -c %Y c; touch -c none; touch -m -d @1000 d; stat -c %Y d; touch -a -d @5000 d; stat -c '%X %Y' d; touch missing/x; touch -d nonsense e; touch; touch -d 2020-01-01 f; stat -c %Y f; touch -d '2020-01-01T10:20' g; stat -c %Y g",
            "chmod 644 dir/script.sh; stat -c %a dir/script.sh; chmod +x fruits; chmod u-w,g+w colons; chmod a=r tabs; chmod go= numbers; chmod u+s large; chmod -R go-rwx dir; chmod o+t other; chmod -v 600 fruits; chmod 4755 sizes; chmod u=rwx,go=rx empty; chmod -x versions; chmod a+X other versions; chmod nonsense fruits; chmod 644 missing; chmod 644; chmod; chmod g=u fruits; chmod =r sizes; chmod -w months; chmod --reference=fruits binary; chmod 0 latin; chmod -c 700 latin; chmod -R 750 'with space'; chmod +w zeros; chmod u+x-r hard; stat -c '%a %n' * | sort",
        ],
    );
}

#[test]
fn bytes_are_summed_dumped_and_copied_as_gnu_does() {
    compare(
        "bytes",
        &[
            "sha256sum fruits; sha256sum fruits empty zeros large; cat fruits | sha256sum; sha256sum - < tabs; sha256sum missing fruits; sha256sum dir; md5sum fruits large; sha256sum 'with space/a b.txt'; sha256sum -b fruits; sha256sum --tag fruits; md5sum < empty; sha256sum -z fruits | od -c | head -n 3; touch 'a\\b'; sha256sum 'a\\b'",
            "sha256sum fruits large > sums; sha256sum -c sums; echo x >> fruits; sha256sum -c sums; sha256sum -c --quiet sums; sha256sum -c --status sums; echo $?; rm large; sha256sum -c sums; sha256sum -c --ignore-missing sums; echo bad >> sums; sha256sum -c sums; sha256sum -c fruits; sha256sum -c missing; md5sum colons | md5sum -c; sha256sum -c < sums; sha256sum --tag colons | sha256sum -c -",
            "hexdump fruits; hexdump -C fruits; hexdump -C zeros; hexdump zeros; hexdump -C -n 20 large; hexdump -C -s 5 -n 20 large; hexdump -C -v -n 64 zeros; hexdump empty; hexdump -C empty; cat fruits | hexdump -C; hexdump -C fruits colons; hexdump -x tabs; hexdump -d tabs; hexdump -o tabs; hexdump -b tabs; hexdump -c latin; hexdump -C latin; hexdump unterminated; hexdump -n 5 fruits; hexdump -C missing; hexdump -C binary; hexdump large | md5sum; hexdump -s 0x10 -n 3 fruits",
            "dd if=large of=copy 2>/dev/null; md5sum copy; dd if=large of=part bs=1K count=3 skip=2 2>/dev/null; md5sum part; dd if=fruits of=part bs=10 count=1 seek=3 conv=notrunc 2>/dev/null; md5sum part; dd if=fruits bs=4 count=2 2>/dev/null; dd if=zeros of=sp bs=1k seek=5 count=1 2>/dev/null; dd if=fruits of=sp2 conv=ucase,fsync status=none; cat sp2; cat fruits | dd bs=3 skip=1 status=none; dd if=missing; dd nonsense; dd if=fruits of=o bs=2x8 status=none; dd if=fruits conv=swab status=none; dd if=fruits bs=7 conv=sync status=none | od -c; dd if=fruits of=part seek=2 bs=5 status=none; md5sum part; cat large | dd bs=1M iflag=fullblock status=none | md5sum; dd if=large bs=100 count=250 iflag=count_bytes status=none",
            "dd if=large of=/dev/null bs=1000 status=noxfer 2>&1; dd if=large of=/dev/null bs=1k count=2 status=noxfer 2>&1; dd if=fruits of=/dev/null 2>&1 | head -n 2; dd if=fruits of=x ibs=10 obs=25 status=noxfer 2>&1; dd if=empty of=y status=noxfer 2>&1; dd if=numbers of=/dev/null bs=64k 2>&1 | sed 's/copied.*//'; head -c 5000000 /dev/zero | dd of=/dev/null bs=1M iflag=fullblock 2>&1 | sed 's/copied.*//'",
        ],
    );
}

#[test]
fn conditions_expressions_and_commands_work_as_with_gnu() {
    compare(
        "commands",
        &[
            "t() { $T/test \"$@\"; echo $?; }; t; t x; t ''; t -n x; t -z x; t -z ''; t a = a; t a = b; t a != b; t 1 -eq 1; t 1 -lt 2; t 2 -le 1; t 3 -gt 2; t 3 -ge 4; t 1 -ne 1; t -f fruits; t -d dir; t -e missing; t -L link; t -h link; t -s empty; t -s fruits; t -x dir/script.sh; t -x fruits; t -r fruits; t ! -f fruits; t ! x; t -f fruits -a -d dir; t -f missing -o -d dir; t '(' a = a ')'; t fruits -ot numbers; t numbers -nt fruits; t fruits -ef hard; t -d linkdir; t -e dangling; t ! '(' a = b ')' -a x; t = ; t -f; t '!' = '!'; t -n = ; t '(' x ')'; t -5 -lt 0; t ' 5 ' -eq 5",
            "t() { $T/test \"$@\" 2>/dev/null; echo $?; }; t a b; t 1 -eq x; t a b c; t '(' a; t -f a -a; $T/[ a = a ]; echo $?; $T/[ a = b ]; echo $?; $T/[ a = a; echo $?",
            "e() { expr \"$@\"; echo $?; }; e 1 + 2; e 6 '*' 7; e 7 / 2; e 7 % 3; e 5 - 8; e 1 = 1; e 1 '<' 2; e a = b; e abc : 'a.'; e abc : 'a\\(.\\)c'; e abc : x; e length hello; e substr hello 2 3; e index hello lo; e '(' 1 + 2 ')' '*' 3; e 0 '|' 5; e 3 '&' 0; e 1 / 0; e a + 1; e; e 1 +; e -1 + -2; e 0; e '' '|' ''; e 10 '>' 9; e abc '<' abd; e match abc 'b'; e 2 + 3 '*' 4; e abcdef : '.*\\(d\\)'",
            "printf 'a b\\nc\\n' | xargs; printf 'a b\\nc\\n' | xargs -n1; printf 'a b\\nc d\\n' | xargs -I{} echo '<{}>'; printf 'a b\\0c' | xargs -0 -n1; printf 'a,b,c' | xargs -d, -n1; echo '\"a b\" c' | xargs -n1; echo \"a\\ b 'c d'\" | xargs -n1; xargs < empty; xargs -r < empty; seq 10 | xargs -n3; seq 5 | xargs -n2 -P2 echo | sort; seq 3 | xargs -t 2>/dev/null; echo x | xargs false; echo x | xargs nosuchcommand; seq 6 | xargs -L2; seq 20000 | xargs echo | wc -w; echo a | xargs -I{} echo {} {} -{}-; xargs -a fruits -n2 echo; echo \"it's\" | xargs; seq 3 | xargs -n1 sh -c 'exit 255'; seq 3 | xargs -n 1 echo a b; printf 'a\\n\\nb\\n' | xargs -d '\\n' -n1 echo x",
            "env -i A=1 B=2; env -i A=1 sh -c 'echo $A'; A=5 env -u A sh -c 'echo x$A'; env -i A=1 A=2; env nosuchcommand; env false; env A=1 sh -c 'exit 7'; env -i; env - X=1; env -C dir pwd | sed 's/.*folder/folder/'; env -i -0 A=1 B=2 | tr '\\0' ,",
            "which sh nosuch | sed 's/.*bin/bin/'; sleep 0; sleep 0.01; sleep; sleep x; sleep 0.01s 0.01",
            "date -u -d @0; date -u -d @1700000000 '+%Y-%m-%d %H:%M:%S %j %a %A %b %B %y %e %k %I %l %p %P %s %u %w %U %W %V %G %g %C %D %F %T %R %r %c %x %X %n %t %% %Z %z %N %h %q'; date -u -d '2024-02-29' +%F; date -u -d '2024-02-29 12:34' +%s; date -u -d 2024-02-29T12:34:56Z +%s; date -u -d nonsense; date -u -d @951782400 +%U,%V,%j; date -u -I -d @86400; date -u -Iseconds -d @86400; date -u -R -d @86400; date -u -r fruits; date -u -d @-1; date -u -d @253402300799 +%F; date -u +%-d.%-m.%_H.%^a -d @1000000; date -u -d 2023-02-29; for y in 1900 1972 1999 2000 2038 2100; do for d in 01-01 01-04 02-28 03-01 12-28 12-31; do date -u -d $y-$d '+%F %s %a %j %U %V %G'; done; done",
            "cat large | head -n 1; seq 1000000 | head -n 2; cat large large large | grep -m1 fox; yes | head -c 100000 | wc -c; sync; sync fruits; sync missing",
        ],
    );
}
