# picture - the demo's summary as bars: gnuplot -e "data='demo.dat'; picture='demo.svg'" picture.gp
set terminal svg size 1080,380 font "sans,13" background "white"
set output picture
set multiplot layout 1,3 title "What each guest gets in a storm, without and with qosd" font ",16"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.9 border -1
set boxwidth 0.9
set yrange [0:*]
set grid ytics lc rgb "#dddddd"
set key top right
set title "CPU storm: CPUs"
plot data using 2:xtic(1) title "without" lc rgb "#c0504d", '' using 3 title "with qosd" lc rgb "#4f81bd"
set title "memory storm: MiB of gold resident"
plot data every ::0::0 using 4:xtic(1) title "without" lc rgb "#c0504d", '' every ::0::0 using 5 title "with qosd" lc rgb "#4f81bd"
set title "network storm: Mbit/s in (log scale)"
set logscale y
set yrange [1:*]
plot data using 6:xtic(1) title "without" lc rgb "#c0504d", '' using 7 title "with qosd" lc rgb "#4f81bd"
unset multiplot
